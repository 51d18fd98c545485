/**
 * Snapshots for attached gateways: what is passed on, with which checksum, and who is refused.
 */
import { GrpcStatusError, type ServerStreamHandler, status } from '@flotilla/grpc';
import { SILENT_LOGGER } from '@flotilla/platform';
import { linkV1 } from '@flotilla/proto';
import { crc32c } from '@node-rs/crc32';
import { describe, expect, it } from 'vitest';
import { NO_METRICS } from '../../../test/support/fake-feed.js';
import { FollowedCluster } from '../../../test/support/followed-logs.js';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { type TableChunk } from '../../nodes/feed.js';
import { TableDigest } from '../../table-digest.js';
import { READER_STALL_MS } from '../paced-sink.js';
import { RunningSnapshots, SNAPSHOTS_MAX } from '../running-snapshots.js';
import { LINK_READ_SNAPSHOT, LinkService } from './link.service.js';

const POSITION = { tableId: 7, epoch: 7, appliedIndex: 9, revision: 8 };

function row(key: string, value: string, modRevision = 2 ** 33 + 1) {
  const numbers = { createRevision: 1, modRevision, version: 3 };
  return { key: Buffer.from(key), value: Buffer.from(value), ...numbers };
}

function chunk(fields: Partial<TableChunk>): TableChunk {
  return { position: undefined, rows: [], deletedKeys: [], more: true, ...fields };
}

/** What the checksum covers, written down once more from its description. */
function covered({ rows, deletedKeys }: TableChunk): Buffer {
  const number = (value: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return bytes;
  };
  const prefixed = (data: Uint8Array) => Buffer.concat([number(data.length).subarray(0, 4), data]);
  return Buffer.concat([
    ...rows.flatMap((each) => [
      Buffer.from([1]),
      prefixed(each.key),
      prefixed(each.value),
      number(each.createRevision),
      number(each.modRevision),
      number(each.version),
    ]),
    ...deletedKeys.flatMap((key) => [Buffer.from([2]), prefixed(key)]),
  ]);
}

class Reads {
  readonly cluster = new FollowedCluster();
  readonly clock = new ManualClock();
  readonly messages: linkV1.SnapshotChunk[] = [];
  held: Promise<void> | undefined;
  private handler: ServerStreamHandler | undefined;

  constructor() {
    this.cluster.create(7);
    const service = new LinkService({
      feed: this.cluster,
      directory: this.cluster,
      clock: this.clock,
      metrics: NO_METRICS,
      snapshots: new RunningSnapshots(),
      logger: SILENT_LOGGER,
      heartbeatMs: 1_000,
      entriesBytesMax: 1_000,
      encodings: [],
    });
    const register = (path: string, _: string, handler: ServerStreamHandler) => {
      if (path === LINK_READ_SNAPSHOT) this.handler = handler;
    };
    service.register({ register } as never);
  }

  read(fields: Partial<linkV1.ReadSnapshotRequest> = {}): Promise<void> {
    const usual = { tableId: 7n, epoch: 7n, clusterId: 'follower' };
    const request = linkV1.ReadSnapshotRequest.fromPartial({ ...usual, ...fields });
    return this.readBytes(linkV1.ReadSnapshotRequest.encode(request).finish());
  }

  async readBytes(bytes: Uint8Array): Promise<void> {
    const call = { signal: new AbortController().signal, deadline: undefined };
    const write = (message: Uint8Array) => {
      this.messages.push(linkV1.SnapshotChunk.decode(message));
      return this.held;
    };
    await this.handler?.(Buffer.from(bytes), call as never, { write });
  }
}

describe('a snapshot', () => {
  it('is what the node tells, each chunk with the checksum of all up to it', async () => {
    const reads = new Reads();
    const chunks = [
      chunk({ position: POSITION, rows: [row('a', '1'), row('b', '')] }),
      chunk({}),
      chunk({ rows: [row('c', '3')], deletedKeys: [Buffer.from('bb'), Buffer.from('d')] }),
      chunk({ deletedKeys: [Buffer.from('e')], more: false }),
    ];
    reads.cluster.told = chunks;
    await reads.read();
    const upTo = chunks.map((_, at) => Buffer.concat(chunks.slice(0, at + 1).map(covered)));
    expect(reads.messages.map(({ checksum }) => checksum)).toEqual(
      upTo.map((bytes) => crc32c(bytes)),
    );
    expect(reads.messages.map(({ more }) => more)).toEqual([true, true, true, false]);
    expect(reads.messages[0]?.position).toEqual({
      tableId: 7n,
      epoch: 7n,
      appliedIndex: 9n,
      revision: 8n,
    });
    expect(reads.messages[2]).toMatchObject({
      rows: [{ key: Buffer.from('c'), modRevision: 2n ** 33n + 1n, version: 3n }],
      deletedKeys: [Buffer.from('bb'), Buffer.from('d')],
    });
  });

  it('is asked of the node as it is asked for: revision, key, since when, and of which history', async () => {
    const reads = new Reads();
    const part = { atRevision: 5n, afterKey: Buffer.from('k'), sinceRevision: 3n };
    await reads.read(part);
    expect(reads.cluster.reads).toEqual([{ table: 't7', epoch: 7n, ...part }]);
  });

  it('of a part comes with the digest of the whole table at its revision, in the last chunk', async () => {
    const rows = [row('a', '1'), row('b', '2')];
    const digest = TableDigest.empty();
    digest.add(rows);
    const parts: Partial<linkV1.ReadSnapshotRequest>[] = [
      { sinceRevision: 3n },
      { atRevision: 8n, afterKey: Buffer.from('a') },
    ];
    for (const part of parts) {
      const reads = new Reads();
      reads.cluster.told = [
        chunk({ position: POSITION, rows: rows.slice(0, 1) }),
        chunk({ rows: rows.slice(1), more: false }),
      ];
      await reads.read(part);
      const digests = reads.messages.map(({ tableDigest }) => tableDigest?.toString('hex'));
      expect(digests).toEqual([undefined, digest.bytes().toString('hex')]);
      const whole = { atRevision: 8n, afterKey: Buffer.alloc(0), sinceRevision: 0n, epoch: 7n };
      expect(reads.cluster.reads.slice(1)).toEqual([{ table: 't7', ...whole }]);
    }
  });

  it('of everything is read once, and comes without a digest', async () => {
    const reads = new Reads();
    reads.cluster.told = [chunk({ position: POSITION, rows: [row('a', '1')], more: false })];
    await reads.read();
    expect(reads.messages.map(({ tableDigest }) => tableDigest)).toEqual([undefined]);
    expect(reads.cluster.reads).toHaveLength(1);
  });

  it('is read no faster than it is taken; a reader that takes nothing is sent away', async () => {
    const reads = new Reads();
    reads.cluster.told = Array.from({ length: 9 }, () => chunk({ rows: [row('a', '1')] }));
    reads.held = new Promise(() => undefined);
    const outcome = expect(reads.read()).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    await reads.clock.settle();
    expect([reads.cluster.chunksRead, reads.messages.length]).toEqual([1, 1]);
    await reads.clock.advance(READER_STALL_MS + 1);
    await outcome;
  });

  it('that breaks at the node ends with its error, and no last message', async () => {
    const reads = new Reads();
    const gone = new GrpcStatusError(status.FAILED_PRECONDITION, 'revision 5 is compacted');
    reads.cluster.told = [chunk({ position: POSITION }), gone];
    await expect(reads.read()).rejects.toBe(gone);
    expect(reads.messages.map(({ more }) => more)).toEqual([true]);
  });

  it('is refused beyond the bound, and given again once another one has ended', async () => {
    const reads = new Reads();
    reads.cluster.told = [chunk({ position: POSITION, more: false })];
    let release: () => void = () => undefined;
    reads.held = new Promise((resolve) => (release = resolve));
    const running = Array.from({ length: SNAPSHOTS_MAX }, () => reads.read());
    await expect(reads.read()).rejects.toMatchObject({ code: status.UNAVAILABLE });
    release();
    await Promise.all(running);
    await reads.read();
  });

  it('is refused with what is wrong', async () => {
    const reads = new Reads();
    const refusals: [Partial<linkV1.ReadSnapshotRequest>, number, string][] = [
      [{ clusterId: '' }, status.INVALID_ARGUMENT, 'cluster_id must be set'],
      [{ epoch: 0n }, status.INVALID_ARGUMENT, 'epoch must be set'],
      [{ clusterId: 'leader' }, status.FAILED_PRECONDITION, 'a cluster must not follow itself'],
      [
        { generation: 2n },
        status.FAILED_PRECONDITION,
        'this leader cluster was replaced by a promotion: its generation is 1, and 2 was followed since',
      ],
      [{ tableId: 8n }, status.NOT_FOUND, 'there is no table 8'],
      [{ epoch: 6n }, status.FAILED_PRECONDITION, 'table 7 is in epoch 7, and not in epoch 6'],
    ];
    for (const [fields, code, message] of refusals) {
      await expect(reads.read(fields)).rejects.toMatchObject({ code, message });
    }
    await expect(reads.readBytes(Buffer.from('ff', 'hex'))).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
    reads.cluster.isKnown = false;
    await expect(reads.read()).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });
});
