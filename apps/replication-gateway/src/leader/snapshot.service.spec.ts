/**
 * Snapshots as followers of Regatta read them; the same reader reads one that Regatta has written.
 */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { GrpcStatusError, status } from '@flotilla/grpc';
import { mvccV1, replicationV1 } from '@flotilla/proto';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeTable, NO_METRICS, noise, TABLE } from '../../test/support/fake-feed.js';
import { serve, type Served } from '../../test/support/served.js';
import { readSnapshot } from '../../test/support/snapshot-reader.js';
import { SYSTEM_CLOCK } from '../gateway-clock.js';
import { CHUNK_DATA_BYTES_MAX, SNAPSHOT_STREAM, SnapshotService } from './snapshot.service.js';
import { SnapshotWriter } from './snapshot-writer.js';

const RECORDED = resolve(
  import.meta.dirname,
  '../../../../../shared/data/regatta/snapshot/snapshot.bin',
);
const { DUMMY, PUT } = mvccV1.Command_CommandType;

let served: Served | undefined;
afterEach(() => served?.close());

function pairs(count: number, valueBytes: number): (readonly [Buffer, Buffer])[] {
  const values = noise(count * valueBytes);
  return Array.from({ length: count }, (_, at) => {
    const key = Buffer.from(`key ${String(at).padStart(7, '0')}`);
    return [key, values.subarray(at * valueBytes, (at + 1) * valueBytes)] as const;
  });
}

function snapshotsOf(table: FakeTable, bytesMax: number): SnapshotService {
  const writer = new SnapshotWriter(table, table, NO_METRICS);
  return new SnapshotService(writer, SYSTEM_CLOCK, bytesMax);
}

async function chunksOf(
  table: FakeTable,
  bytesMax = 4 * 1024 * 1024,
): Promise<replicationV1.SnapshotChunk[]> {
  served = await serve(snapshotsOf(table, bytesMax));
  const request = replicationV1.SnapshotRequest.encode({ table: TABLE }).finish();
  const messages = await served.stream(SNAPSHOT_STREAM, request);
  return messages.map((message) => replicationV1.SnapshotChunk.decode(message));
}

const read = (chunks: readonly replicationV1.SnapshotChunk[]) =>
  readSnapshot(chunks.map(({ data }) => data));

describe('a streamed snapshot', () => {
  it('holds every pair once and in order, and a DUMMY with the index at the end', async () => {
    const table = new FakeTable(pairs(1000, 100), 4711);
    const commands = read(await chunksOf(table));
    const end = commands.pop();
    expect(end).toEqual(
      mvccV1.Command.fromPartial({ table: TABLE, type: DUMMY, leaderIndex: 4711n }),
    );
    expect(commands.every(({ type }) => type === PUT)).toBe(true);
    expect(commands.every((command) => command.table.equals(TABLE))).toBe(true);
    expect(commands.map(({ kv }) => [kv?.key, kv?.value])).toEqual(table.pairs);
    expect(commands.every(({ leaderIndex }) => leaderIndex === undefined)).toBe(true);
  });

  it('B1: of many megabytes loses no record at any boundary', async () => {
    const table = new FakeTable(pairs(2500, 4000), 9);
    const commands = read(await chunksOf(table));
    expect(commands).toHaveLength(2501);
    expect(commands.slice(0, -1).map(({ kv }) => kv?.key)).toEqual(table.pairs.map(([key]) => key));
  });

  it('B2: closes with a record that is no pair: nobody finds an empty key in it', async () => {
    const commands = read(await chunksOf(new FakeTable([], 12)));
    expect(commands).toHaveLength(1);
    expect(commands[0]).toMatchObject({ type: DUMMY, kv: undefined, leaderIndex: 12n });
  });

  it('says the length of each chunk, and none is larger than a follower takes', async () => {
    const chunks = await chunksOf(new FakeTable(pairs(2500, 4000), 9));
    expect(chunks.length).toBeGreaterThan(5);
    for (const { data, len } of chunks) {
      expect(Number(len)).toBe(data.length);
      expect(data.length).toBeLessThanOrEqual(CHUNK_DATA_BYTES_MAX);
    }
    await served?.close();
    const small = await chunksOf(new FakeTable(pairs(50, 4000), 9), 16 * 1024);
    expect(Math.max(...small.map(({ data }) => data.length))).toBeLessThanOrEqual(16 * 1024);
    expect(read(small)).toHaveLength(51);
  });

  it('that breaks ends with an error, and without the record that would make it whole', async () => {
    const table = new FakeTable(pairs(2000, 4000), 9);
    table.failure = { after: 1500, error: new GrpcStatusError(status.UNAVAILABLE, 'node lost') };
    served = await serve(snapshotsOf(table, CHUNK_DATA_BYTES_MAX));
    const request = replicationV1.SnapshotRequest.encode({ table: TABLE }).finish();
    const pieces: Buffer[] = [];
    const outcome = (async () => {
      if (!served) return;
      for await (const message of served.client.serverStream(SNAPSHOT_STREAM, request)) {
        pieces.push(replicationV1.SnapshotChunk.decode(message).data);
      }
    })();
    await expect(outcome).rejects.toMatchObject({ code: status.UNAVAILABLE });
    expect(pieces.length).toBeGreaterThan(0);
    expect(() => readSnapshot(pieces)).toThrow();
  });

  it('of a table that is not there is refused with the text of the contract', async () => {
    const table = new FakeTable([], 0);
    table.failure = { after: 0, error: new GrpcStatusError(status.NOT_FOUND, 'table not found') };
    await expect(chunksOf(table)).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      message: "unable to stream from table 'orders': table not found",
    });
  });
});

const isRecorded = existsSync(RECORDED);
if (!isRecorded) console.warn(`NOT TESTED: there is no recorded snapshot at ${RECORDED}`);

describe.skipIf(!isRecorded)('a snapshot that Regatta has written', () => {
  it('is read by the reader that reads ours, whole', () => {
    const commands = readSnapshot([readFileSync(RECORDED)]);
    expect(commands.map(({ kv }) => kv?.key.toString())).toEqual(
      Array.from({ length: 1000 }, (_, at) => `foo${at}`),
    );
    expect(commands.every(({ type, kv }) => type === PUT && kv?.value.length === 66)).toBe(true);
  });

  it('comes out the same in records when its pairs are streamed by us', async () => {
    const recorded = readSnapshot([readFileSync(RECORDED)]).filter(({ type }) => type === PUT);
    const given = recorded.map(
      ({ kv }) => [kv?.key ?? Buffer.alloc(0), kv?.value ?? Buffer.alloc(0)] as const,
    );
    const commands = read(await chunksOf(new FakeTable(given, 7)));
    const table = TABLE;
    expect(commands.slice(0, -1)).toEqual(recorded.map((command) => ({ ...command, table })));
  });
});
