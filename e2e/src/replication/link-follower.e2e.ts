/**
 * A leader cluster and a follower cluster of one real node each that follow by the stream: copies that
 * are made anew while readers see the old ones, whatever is killed meanwhile, and tables that are
 * deleted and made anew under their names.
 */
import { FlotillaClient, type KeyValue } from '@flotilla/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitUntil } from '../harness/cluster.js';
import { GatewayProcess } from '../harness/gateway-process.js';
import { NodeProcess } from '../harness/node-process.js';
import { PollingFollower } from '../harness/polling-follower.js';

const TIMEOUT_MS = 20_000;
const RECOVERY_MS = 90_000;
const LOG_CUT_MS = 90_000;
const DELETION_MS = 1_000;
/** What the machine may take on top of what is promised. */
const SLACK_MS = 2_000;
/** Few entries stay in the log, so that an outage soon costs a snapshot. */
const LOG_FLAGS = [
  '--raft.snapshot-entries=1000',
  '--raft.compaction-overhead=50',
  '--replication.log-retention-bytes=0',
];
/** A snapshot of what is written below takes several seconds. */
const BANDWIDTH = 1_000_000;
const VALUE_BYTES = 16 * 1024;
const ROWS = 400;

let leaderNode: NodeProcess;
let followerNode: NodeProcess;
let leaderGateway: GatewayProcess;
let gateway: GatewayProcess;
let leader: FlotillaClient;
let follower: FlotillaClient;

beforeAll(async () => {
  leaderNode = await NodeProcess.start({ flags: LOG_FLAGS });
  leaderGateway = await GatewayProcess.start(
    [leaderNode.apiAddress],
    ['--replication.compression=none'],
  );
  followerNode = await NodeProcess.start({
    role: 'follower',
    flags: [`--replication.leader-address=${leaderGateway.address}`],
  });
  const options = { timeoutMs: TIMEOUT_MS };
  leader = new FlotillaClient({ endpoints: [leaderNode.apiAddress], ...options });
  follower = new FlotillaClient({ endpoints: [followerNode.apiAddress], ...options });
  gateway = await GatewayProcess.startFollower([followerNode.apiAddress], leaderGateway.address, [
    `--replication.max-snapshot-recv-bytes-per-second=${BANDWIDTH}`,
  ]);
});

afterAll(async () => {
  leader.close();
  follower.close();
  for (const one of [gateway, leaderGateway]) await one.kill();
  await followerNode.dispose();
  await leaderNode.dispose();
});

async function put(table: string, from: number, to: number, valueBytes = 8): Promise<void> {
  for (let nth = from; nth < to; nth++) {
    await leader.put({ table, key: keyOf(nth), value: Buffer.alloc(valueBytes, `${nth} `) });
  }
}

function keyOf(nth: number): string {
  return `key ${String(nth).padStart(5, '0')}`;
}

async function contentOf(client: FlotillaClient, table: string): Promise<readonly KeyValue[]> {
  const kvs: KeyValue[] = [];
  for (let key: Buffer | string = '\0'; ;) {
    const page = await client.range({ table, key, rangeEnd: '\0', limit: 50, linearizable: true });
    kvs.push(...page.kvs);
    const last = page.kvs.at(-1);
    if (!page.more || !last) return kvs;
    key = Buffer.concat([last.key, Buffer.from([0])]);
  }
}

async function scraped(restAddress: string, line: RegExp): Promise<string | undefined> {
  const text = await (await fetch(`${restAddress}/metrics`)).text();
  return line.exec(text)?.[1];
}

async function copyIndex(table: string): Promise<number> {
  const line = new RegExp(`regatta_replication_index\\{role="follower",table="${table}"\\} (\\d+)`);
  return Number((await scraped(followerNode.restAddress, line)) ?? -1);
}

async function snapshotBytes(table: string): Promise<number> {
  const line = new RegExp(
    `flotilla_puller_bytes_total\\{table="${table}",kind="snapshot"\\} (\\d+)`,
  );
  return Number((await scraped(gateway.restAddress, line)) ?? 0);
}

async function isDone(table: string): Promise<boolean> {
  const name = 'flotilla_puller_snapshots_total';
  const line = new RegExp(`${name}\\{table="${table}",outcome="done"\\} (\\d+)`);
  return (await scraped(gateway.restAddress, line)) !== undefined;
}

/** The same rows, with the revisions they were created and changed at. */
async function expectSame(table: string, timeoutMs = TIMEOUT_MS): Promise<void> {
  const { tables } = await leader.status();
  const index = Number(tables[table]?.raftAppliedIndex ?? 0n);
  const isThere = async () => (await copyIndex(table)) >= index;
  await waitUntil(`${table} is there up to ${index}`, isThere, timeoutMs);
  const there = await contentOf(leader, table);
  expect(await contentOf(follower, table)).toEqual(there);
  expect(there.length).toBeGreaterThan(0);
}

/** Its log does not reach back any more to what comes after this index. */
async function waitUntilCut(table: string, index: number): Promise<void> {
  const probe = new PollingFollower(leaderGateway.address, table);
  const isCut = async () => (await probe.poll(index + 1).catch(() => 'gap')) === 'use-snapshot';
  await waitUntil('the log was cut', isCut, LOG_CUT_MS).finally(() => probe.close());
}

/** The copy of a table stands still while the leader cluster goes on, until its log is cut. */
async function fallBehind(table: string, rows: number, valueBytes: number): Promise<number> {
  await gateway.kill();
  const index = await copyIndex(table);
  await put(table, 0, rows, valueBytes);
  for (let nth = 0; nth < 1_200; nth++) {
    await leader.put({ table, key: `filler ${nth % 10}`, value: `${nth}` });
  }
  await waitUntilCut(table, index);
  return index;
}

describe('a follower cluster that follows by the stream', () => {
  it('is attached, and polls nothing', async () => {
    const state = /flotilla_link_state\{state="attached"\} (1)/;
    const isUp = async () => (await scraped(gateway.restAddress, state)) !== undefined;
    await waitUntil('the stream is up', isUp, TIMEOUT_MS);
    await leader.createTable('orders');
    await put('orders', 0, 50);
    await expectSame('orders');
    const polls = /grpc_server_started_total\{[^}]*grpc_method="Replicate"[^}]*\} (\d+)/;
    expect(Number((await scraped(leaderGateway.restAddress, polls)) ?? 0)).toBe(0);
  });

  it('serves what a copy has while that is made anew, and has the revisions after it', async () => {
    await fallBehind('orders', ROWS, VALUE_BYTES);
    const before = await contentOf(follower, 'orders');
    await gateway.start();
    const isBegun = async () => (await snapshotBytes('orders')) > 0;
    await waitUntil('a snapshot comes', isBegun, TIMEOUT_MS);
    let reads = 0;
    for (; !(await isDone('orders')); reads++) {
      const index = await copyIndex('orders');
      const now = await contentOf(follower, 'orders');
      if (await isDone('orders')) break;
      if ((await copyIndex('orders')) === index) expect(now).toEqual(before);
      expect(now.length).toBeGreaterThanOrEqual(before.length);
    }
    expect(reads).toBeGreaterThan(2);
    await expectSame('orders', RECOVERY_MS);
    await put('orders', 10, 20);
    await expectSame('orders');
  });

  it('goes on with a snapshot where it was when its gateway is killed in the middle of it', async () => {
    const wholeBytes = ROWS * VALUE_BYTES;
    await fallBehind('orders', ROWS, VALUE_BYTES);
    await gateway.start();
    const isHalf = async () => (await snapshotBytes('orders')) > wholeBytes / 2;
    await waitUntil('half of it is there', isHalf, RECOVERY_MS);
    await gateway.kill();
    await gateway.start();
    await waitUntil('it is done', () => isDone('orders'), RECOVERY_MS);
    expect(await snapshotBytes('orders')).toBeLessThan((wholeBytes * 3) / 4);
    await expectSame('orders', RECOVERY_MS);
  });

  it('takes no more than what changed', async () => {
    await fallBehind('orders', 20, VALUE_BYTES);
    await gateway.start();
    await waitUntil('it is done', () => isDone('orders'), RECOVERY_MS);
    expect(await snapshotBytes('orders')).toBeLessThan(40 * VALUE_BYTES);
    await expectSame('orders', RECOVERY_MS);
  });

  it('makes a copy anew when its table was deleted and made again under its name', async () => {
    await leader.deleteTable('orders');
    await leader.createTable('orders');
    await put('orders', 0, 5);
    await waitUntil(
      'it is there',
      async () => (await contentOf(follower, 'orders')).length === 5,
      TIMEOUT_MS,
    );
    await put('orders', 5, 30);
    await expectSame('orders');
  });

  it('has a table no more a second after it was deleted', async () => {
    await leader.deleteTable('orders');
    const sinceMs = Date.now();
    const isGone = async () => !(await follower.listTables()).some(({ name }) => name === 'orders');
    await waitUntil('it is gone', isGone, TIMEOUT_MS);
    expect(Date.now() - sinceMs).toBeLessThan(DELETION_MS + SLACK_MS);
  });

  it('stops when it is told to, and clean', async () => {
    await gateway.stop();
  });
});
