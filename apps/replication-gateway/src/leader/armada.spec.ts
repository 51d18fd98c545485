/**
 * What followers of Armada ask for beside the log: which snapshot to load, one over HTTP, and what
 * changed since an index.
 */
import { createConnection } from 'node:net';
import { once } from 'node:events';
import { createGrpcClient, GrpcStatusError, status } from '@flotilla/grpc';
import { SILENT_LOGGER } from '@flotilla/platform';
import { mvccV1, replicationV1 } from '@flotilla/proto';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeTable, NO_METRICS, noise, positionAt, TABLE } from '../../test/support/fake-feed.js';
import { serve, type Served } from '../../test/support/served.js';
import { readSnapshot } from '../../test/support/snapshot-reader.js';
import { SYSTEM_CLOCK } from '../gateway-clock.js';
import { ArmadaLiveSnapshots } from './armada-live.js';
import { ArmadaQueryService, SNAPSHOT_QUERY } from './armada-query.js';
import { SNAPSHOT_STREAM, SnapshotService } from './snapshot.service.js';
import { SnapshotWriter } from './snapshot-writer.js';
import { SNAPSHOTS_MAX } from './running-snapshots.js';

const { DELETE, DUMMY, PUT } = mvccV1.Command_CommandType;
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;

let served: Served | undefined;
afterEach(() => served?.close());

async function open(table: FakeTable): Promise<Served & { readonly url: string }> {
  const writer = new SnapshotWriter(table, table, NO_METRICS);
  const live = new ArmadaLiveSnapshots(writer, SYSTEM_CLOCK, SILENT_LOGGER);
  const services = [
    new SnapshotService(writer, SYSTEM_CLOCK, MESSAGE_BYTES_MAX),
    new ArmadaQueryService(),
  ];
  const opened = await serve(...services);
  served = opened;
  const { url } = await opened.server.listen('http://127.0.0.1:0', { http1: live.accept });
  return { ...opened, url };
}

/** `SnapshotQueryRequest`: field 1 the table as a string, field 2 the follower's index. */
function query(table: string): Buffer {
  return Buffer.concat([
    Buffer.from([0x0a, table.length]),
    Buffer.from(table),
    Buffer.from('1007', 'hex'),
  ]);
}

describe('a query for a snapshot', () => {
  it('B27: is told that there is no store, never that no snapshot is available', async () => {
    const { unary } = await open(new FakeTable([], 0));
    await expect(unary(SNAPSHOT_QUERY, query('orders'))).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
      message: 'shared snapshot store is not configured',
    });
  });

  it('without a table is refused by the name of the field', async () => {
    const { unary } = await open(new FakeTable([], 0));
    await expect(unary(SNAPSHOT_QUERY, Buffer.from('1007', 'hex'))).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      message: 'table is required',
    });
  });
});

describe('a stream of what changed', () => {
  const row = (key: string, modRevision: number) => ({
    key: Buffer.from(key),
    value: Buffer.from(`value of ${key}`),
    createRevision: 1,
    modRevision,
    version: 2,
  });
  const deleted = (...keys: string[]) => keys.map((key) => Buffer.from(key));

  /** Field 1 the table, field 2 incremental, field 3 the index. */
  function request(since: number): Buffer {
    const table = Buffer.concat([Buffer.from([0x0a, TABLE.length]), TABLE]);
    return Buffer.concat([table, Buffer.from([0x10, 0x01, 0x18, since])]);
  }

  async function changesOf(table: FakeTable, since: number): Promise<mvccV1.Command[]> {
    const { stream } = await open(table);
    const messages = await stream(SNAPSHOT_STREAM, request(since));
    return readSnapshot(messages.map((each) => replicationV1.SnapshotChunk.decode(each).data));
  }

  it('holds a PUT for each row and a DELETE for each key that is gone, in order, then the index', async () => {
    const table = new FakeTable([], 0);
    const asked: number[] = [];
    table.changes = (since) => {
      asked.push(since);
      return [
        {
          position: positionAt(20),
          rows: [row('b', 8)],
          deletedKeys: deleted('a', 'c'),
          more: true,
        },
        { position: undefined, rows: [], deletedKeys: deleted('d'), more: true },
        { position: undefined, rows: [row('e', 20)], deletedKeys: [], more: false },
      ];
    };
    const commands = await changesOf(table, 7);
    expect(asked).toEqual([7]);
    expect(commands.map(({ type, kv }) => [type, kv?.key.toString()])).toEqual([
      [DELETE, 'a'],
      [PUT, 'b'],
      [DELETE, 'c'],
      [DELETE, 'd'],
      [PUT, 'e'],
      [DUMMY, undefined],
    ]);
    expect(commands[1]?.kv?.value.toString()).toBe('value of b');
    expect(commands.every(({ rangeEnd }) => rangeEnd === undefined)).toBe(true);
    expect(commands.at(-1)?.leaderIndex).toBe(20n);
  });

  it('at the end of the log holds the index alone', async () => {
    const table = new FakeTable([], 0);
    table.changes = () => [{ position: positionAt(7), rows: [], deletedKeys: [], more: false }];
    const commands = await changesOf(table, 7);
    expect(commands.map(({ type, leaderIndex }) => [type, leaderIndex])).toEqual([[DUMMY, 7n]]);
  });

  it('beyond what is applied is out of range', async () => {
    const table = new FakeTable([], 0);
    table.changes = () => [{ position: positionAt(6), rows: [], deletedKeys: [], more: false }];
    await expect(changesOf(table, 7)).rejects.toMatchObject({ code: status.OUT_OF_RANGE });
    const endless = Buffer.concat([
      request(0).subarray(0, -1),
      Buffer.from('ffffffffffffffffff01', 'hex'),
    ]);
    await expect(served?.stream(SNAPSHOT_STREAM, endless)).rejects.toMatchObject({
      code: status.OUT_OF_RANGE,
    });
  });

  it('that the history does not reach is refused, and never a whole table instead', async () => {
    const table = new FakeTable([], 0);
    const refusal = new GrpcStatusError(status.FAILED_PRECONDITION, 'compacted');
    table.failure = { after: 0, error: refusal };
    await expect(changesOf(table, 7)).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
    await served?.close();
    table.failure = undefined;
    table.changes = () => [
      { position: positionAt(9), rows: [row('a', 9), row('b', 7)], deletedKeys: [], more: false },
    ];
    await expect(changesOf(table, 7)).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
  });
});

describe('a snapshot over HTTP', () => {
  const values = noise(3_000 * 2_000);
  const pairs = Array.from({ length: 3_000 }, (_, at) => {
    const key = Buffer.from(`key ${String(at).padStart(5, '0')}`);
    return [key, values.subarray(at * 2_000, (at + 1) * 2_000)] as const;
  });

  it('is the same stream as over gRPC, whole', async () => {
    const { url, stream } = await open(new FakeTable(pairs, 4711));
    const response = await fetch(`${url}/snapshots-live/orders`);
    expect(response.status).toBe(200);
    const body = Buffer.from(await response.arrayBuffer());
    const table = replicationV1.SnapshotRequest.encode({ table: TABLE }).finish();
    const chunks = await stream(SNAPSHOT_STREAM, table);
    const streamed = chunks.map((each) => replicationV1.SnapshotChunk.decode(each).data);
    expect(body.equals(Buffer.concat(streamed))).toBe(true);
    const commands = readSnapshot([body]);
    expect(commands).toHaveLength(pairs.length + 1);
    expect(commands.at(-1)).toMatchObject({ type: DUMMY, leaderIndex: 4711n });
  });

  it('that breaks is not taken for whole by its reader', async () => {
    const table = new FakeTable(pairs, 4711);
    table.failure = { after: 2_000, error: new GrpcStatusError(status.UNAVAILABLE, 'node lost') };
    const { url } = await open(table);
    const response = await fetch(`${url}/snapshots-live/orders`);
    expect(response.status).toBe(200);
    await expect(response.arrayBuffer()).rejects.toThrow();
  });

  it.each([
    ['of a table that is not there', 404, new GrpcStatusError(status.NOT_FOUND, 'table not found')],
    ['while no node answers', 503, new GrpcStatusError(status.UNAVAILABLE, 'no node is known')],
    ['that fails for a reason of our own', 500, new Error('secret')],
  ])('%s is answered by %i', async (_, code, error) => {
    const table = new FakeTable([], 0);
    table.failure = { after: 0, error };
    const { url } = await open(table);
    const response = await fetch(`${url}/snapshots-live/orders`);
    expect(response.status).toBe(code);
    expect(await response.text()).not.toContain('secret');
  });

  it.each([
    ['GET', '/snapshots/orders/full/7.snap', 404],
    ['HEAD', '/snapshots/orders/full/7.snap', 404],
    ['GET', '/metrics', 404],
    ['GET', '/snapshots-live/%ff', 400],
    ['POST', '/snapshots-live/orders', 405],
  ])('%s %s is refused with %i', async (method, path, code) => {
    const { url } = await open(new FakeTable([], 0));
    expect((await fetch(`${url}${path}`, { method })).status).toBe(code);
  });

  it('that nobody reads any more gives its place back', async () => {
    const table = new FakeTable(pairs, 4711);
    const { url } = await open(table);
    const port = Number(new URL(url).port);
    for (let nth = 0; nth <= SNAPSHOTS_MAX; nth++) {
      const socket = createConnection({ host: '127.0.0.1', port });
      socket.write('GET /snapshots-live/orders HTTP/1.1\r\nhost: x\r\n\r\n');
      const [head] = (await once(socket, 'data')) as [Buffer];
      expect(head.toString('latin1')).toMatch(/^HTTP\/1\.1 200 /);
      socket.destroy();
    }
    await expect(
      fetch(`${url}/snapshots-live/orders`).then((response) => response.arrayBuffer()),
    ).resolves.toBeDefined();
  });

  it('leaves calls of gRPC on the same port as they are', async () => {
    const { url } = await open(new FakeTable(pairs.slice(0, 3), 9));
    const client = createGrpcClient(url);
    try {
      await expect(client.unary(SNAPSHOT_QUERY, query('orders'))).rejects.toMatchObject({
        code: status.FAILED_PRECONDITION,
      });
    } finally {
      client.close();
    }
  });
});
