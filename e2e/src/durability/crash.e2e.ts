/**
 * kill -9 under load: whatever was acknowledged is there afterwards, and nothing is there in half.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError, FlotillaClient } from '@flotilla/client';
import type { mvccV1 } from '@flotilla/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitUntil } from '../harness/cluster.js';
import { CALL_MS, NodeProcess } from '../harness/node-process.js';

/** Kills of a node on each engine. */
const ENGINES = [
  ['rocksdb', 10],
  ['lmdb', 5],
] as const;
const WRITERS = 32;
const PAIR_KEYS = ['left', 'middle', 'right'] as const;
const TABLE = 'crash';
const seed = Date.now() % 1_000_000;

/** A value that shows whether it is whole. */
function sealed(content: string, bytes: number): Buffer {
  const body = Buffer.alloc(bytes, content);
  return Buffer.concat([createHash('sha256').update(body).digest(), body]);
}

function isWhole(value: Buffer): boolean {
  const digest = createHash('sha256').update(value.subarray(32)).digest();
  return digest.equals(value.subarray(0, 32));
}

function put(key: string, value: Buffer): mvccV1.RequestOp {
  return {
    request: { $case: 'requestPut', value: { key: Buffer.from(key), value, prevKv: false } },
  };
}

/** What was acknowledged, over all rounds. */
class Record {
  readonly values = new Map<string, Buffer>();
  revision = 0;
  acknowledged = 0;
}

async function write(client: FlotillaClient, record: Record, round: number, writer: number) {
  for (let count = 0; ; count++) {
    const name = `r${round}/w${writer}/${count}`;
    const value = sealed(name, (seed + count * 37) % 4_000);
    try {
      if (count % 5 === 4) {
        const success = PAIR_KEYS.map((part) => put(`txn/${name}/${part}`, value));
        const { header } = await client.txn({ table: TABLE, compare: [], success, failure: [] });
        for (const part of PAIR_KEYS) record.values.set(`txn/${name}/${part}`, value);
        record.revision = Math.max(record.revision, header.revision);
      } else {
        const { header } = await client.put({ table: TABLE, key: name, value });
        record.values.set(name, value);
        record.revision = Math.max(record.revision, header.revision);
      }
      record.acknowledged++;
    } catch (error) {
      if (error instanceof ClientError) return;
      throw error;
    }
  }
}

async function readAll(client: FlotillaClient): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  const everything = { table: TABLE, key: '\0', rangeEnd: '\0', linearizable: true };
  for await (const { kvs } of client.iterateRange(everything)) {
    for (const { key, value } of kvs) found.set(key.toString(), value);
  }
  return found;
}

function check(found: ReadonlyMap<string, Buffer>, record: Record): void {
  const lost = [...record.values].filter(([key, value]) => !found.get(key)?.equals(value));
  expect(lost.map(([key]) => key)).toEqual([]);
  expect([...found].filter(([, value]) => !isWhole(value)).map(([key]) => key)).toEqual([]);
  const groups = new Map<string, number>();
  for (const key of found.keys()) {
    if (!key.startsWith('txn/')) continue;
    const group = key.slice(0, key.lastIndexOf('/'));
    groups.set(group, (groups.get(group) ?? 0) + 1);
  }
  const halves = [...groups].filter(([, count]) => count !== PAIR_KEYS.length);
  expect(halves).toEqual([]);
}

describe.each(ENGINES)('kill -9 on %s', (engine, rounds) => {
  let node: NodeProcess;
  beforeAll(async () => {
    // Small enough that the log is cut and its segments are dropped during the test.
    const cut = [
      '--raft.snapshot-entries=500',
      '--raft.compaction-overhead=100',
      '--replication.log-retention-bytes=0',
    ];
    const flags = [`--storage.engine=${engine}`, ...cut];
    node = await NodeProcess.start({ flags });
  });
  afterAll(() => node.dispose());

  it(`no acknowledged write is lost and no transaction is seen in half, in ${rounds} rounds`, async () => {
    console.log(`seed ${seed}`);
    const record = new Record();
    const first = new FlotillaClient({ endpoints: [node.apiAddress], timeoutMs: CALL_MS });
    await first.createTable(TABLE);
    first.close();
    for (let round = 0; round < rounds; round++) {
      const client = new FlotillaClient({ endpoints: [node.apiAddress], timeoutMs: 2_000 });
      const writers = Array.from({ length: WRITERS }, (_, at) => write(client, record, round, at));
      const least = record.acknowledged + WRITERS + 1;
      let isOver = false;
      const ended = Promise.all(writers).finally(() => (isOver = true));
      await sleep(300 + ((seed * (round + 1)) % 700));
      await waitUntil('each has written', () => isOver || record.acknowledged >= least);
      await node.kill();
      await ended;
      client.close();
      const before = record.revision;
      await node.start();
      const after = new FlotillaClient({ endpoints: [node.apiAddress], timeoutMs: CALL_MS });
      check(await readAll(after), record);
      const { header } = await after.put({
        table: TABLE,
        key: `after/${round}`,
        value: sealed('x', 9),
      });
      expect(header.revision).toBeGreaterThan(before);
      record.revision = header.revision;
      after.close();
    }
    console.log(`${record.acknowledged} acknowledged writes over ${rounds} kills`);
    expect(record.acknowledged).toBeGreaterThan(rounds * WRITERS);
  });
});
