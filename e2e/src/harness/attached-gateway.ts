/**
 * A gateway of a follower cluster as it attaches to one of the leader cluster, written from the protocol alone.
 *
 * In: what it is told over one stream. Out: entries by table, each one checked to be the next one of its log, and
 * snapshots, whole or up to a chunk, each one with its checksum counted here once more.
 */
import { createGrpcClient, type GrpcClient } from '@flotilla/grpc';
import { type feedV1, linkV1 } from '@flotilla/proto';

const ATTACH = '/flotilla.replication.v1.Link/Attach';
const READ_SNAPSHOT = '/flotilla.replication.v1.Link/ReadSnapshot';
const CREDIT_BYTES = 64 * 1024;
const CALL_MS = 60_000;

type Request = NonNullable<linkV1.AttachRequest['kind']>;
export interface SnapshotPiece {
  readonly position: linkV1.SnapshotChunk['position'];
  readonly rows: linkV1.SnapshotChunk['rows'];
  readonly deletedKeys: Buffer[];
  readonly isWhole: boolean;
}

export class AttachedGateway {
  readonly tables = new Map<string, feedV1.Table>();
  readonly entries = new Map<string, { readonly revision: number; readonly command: Buffer }[]>();
  readonly ends: linkV1.SubscriptionEnd[] = [];
  heartbeats = 0;
  failure: unknown;
  private readonly client: GrpcClient;
  private readonly requests: Request[] = [];
  private readonly subscribed = new Map<bigint, string>();
  private readonly closing = new AbortController();
  private wake: () => void = () => undefined;
  private running: Promise<void> | undefined;

  constructor(address: string) {
    this.client = createGrpcClient(address);
  }

  attach(): void {
    const hello = { clusterId: 'follower', gateway: 'g', generation: 0n, leaderClusterId: '' };
    const creditBytes = BigInt(CREDIT_BYTES);
    this.requests.push({ $case: 'hello', value: { ...hello, creditBytes } });
    this.running = this.listen().catch((error: unknown) => void (this.failure = error));
  }

  subscribe(name: string, from = 1): void {
    const table = this.tables.get(name);
    if (!table) throw new Error(`nothing was told of table ${name}`);
    const subscription = BigInt(this.subscribed.size + 1);
    this.subscribed.set(subscription, name);
    this.entries.set(name, []);
    const value = { tableId: table.id, epoch: table.epoch, from: BigInt(from), subscription };
    this.say({ $case: 'subscribe', value });
  }

  revisionOf(name: string): number {
    return this.entries.get(name)?.at(-1)?.revision ?? 0;
  }

  /** A snapshot; or what comes of it up to a chunk, after which it is left. */
  async snapshot(
    name: string,
    fields: Partial<linkV1.ReadSnapshotRequest> = {},
    chunksMax = Infinity,
  ): Promise<SnapshotPiece> {
    const table = this.tables.get(name);
    const usual = { tableId: table?.id ?? 0n, epoch: table?.epoch ?? 0n, clusterId: 'follower' };
    const request = linkV1.ReadSnapshotRequest.fromPartial({ ...usual, ...fields });
    const bytes = linkV1.ReadSnapshotRequest.encode(request).finish();
    let position: linkV1.SnapshotChunk['position'];
    const rows: linkV1.SnapshotChunk['rows'] = [];
    const deletedKeys: Buffer[] = [];
    let checksum = 0;
    let chunks = 0;
    const options = { deadlineMs: CALL_MS };
    for await (const message of this.client.serverStream(READ_SNAPSHOT, bytes, options)) {
      const chunk = linkV1.SnapshotChunk.decode(message);
      position ??= chunk.position;
      rows.push(...chunk.rows);
      deletedKeys.push(...chunk.deletedKeys);
      checksum = checksumOf(chunk, checksum);
      if (checksum !== chunk.checksum) throw new Error(`chunk ${chunks} has another checksum`);
      if (!chunk.more) return { position, rows, deletedKeys, isWhole: true };
      if (++chunks >= chunksMax) break;
    }
    return { position, rows, deletedKeys, isWhole: false };
  }

  async close(): Promise<void> {
    this.closing.abort();
    this.wake();
    await this.running;
    this.client.close();
  }

  private say(kind: Request): void {
    this.requests.push(kind);
    this.wake();
  }

  private async listen(): Promise<void> {
    const { signal } = this.closing;
    for await (const message of this.client.bidi(ATTACH, this.said(), { signal })) {
      const { kind } = linkV1.AttachMessage.decode(message);
      if (kind?.$case === 'tables') {
        for (const table of kind.value.tables) this.tables.set(table.name, table);
      } else if (kind?.$case === 'entries') this.take(kind.value);
      else if (kind?.$case === 'end') this.ends.push(kind.value);
      else if (kind?.$case === 'heartbeat') this.heartbeats++;
    }
  }

  private take({ subscription, entries }: linkV1.LinkEntries): void {
    const name = this.subscribed.get(subscription);
    const known = this.entries.get(name ?? '');
    if (!known) throw new Error(`entries came of subscription ${subscription}`);
    let bytes = 0;
    for (const { index, command } of entries) {
      const due = (known.at(-1)?.revision ?? 0) + 1;
      if (Number(index) !== due) throw new Error(`entry ${index} came where ${due} was due`);
      known.push({ revision: Number(index), command });
      bytes += command.length;
    }
    if (bytes > 0) this.say({ $case: 'credit', value: { bytes: BigInt(bytes) } });
  }

  private async *said(): AsyncGenerator<Uint8Array> {
    while (!this.closing.signal.aborted) {
      const kind = this.requests.shift();
      if (kind) yield linkV1.AttachRequest.encode({ kind }).finish();
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}

function checksumOf({ rows, deletedKeys }: linkV1.SnapshotChunk, before: number): number {
  let crc = before;
  const add = (...parts: Uint8Array[]) => {
    for (const part of parts) crc = crc32c(part, crc);
  };
  const prefixed = (data: Uint8Array): [Buffer, Uint8Array] => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(data.length);
    return [length, data];
  };
  for (const { key, value, createRevision, modRevision, version } of rows) {
    const numbers = Buffer.alloc(24);
    for (const [at, number] of [createRevision, modRevision, version].entries()) {
      numbers.writeBigUInt64LE(number, 8 * at);
    }
    add(Buffer.from([1]), ...prefixed(key), ...prefixed(value), numbers);
  }
  for (const key of deletedKeys) add(Buffer.from([2]), ...prefixed(key));
  return crc;
}

const CRC_TABLE = Int32Array.from({ length: 256 }, (_, value) => {
  let crc = value;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  return crc;
});

function crc32c(bytes: Uint8Array, before: number): number {
  let crc = ~before;
  for (const byte of bytes) crc = (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}
