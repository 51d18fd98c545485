/**
 * A leader cluster and a follower cluster of one real node each, with real gateways in both: what
 * is written in the one is in the other at the same revisions, whichever gateway is killed.
 */
import { FlotillaClient, type KeyValue } from '@flotilla/client';
import { mvccV1 } from '@flotilla/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitUntil } from '../harness/cluster.js';
import { GatewayProcess } from '../harness/gateway-process.js';
import { NodeProcess } from '../harness/node-process.js';
import { PollingFollower } from '../harness/polling-follower.js';

const KEYS = 40;
const TIMEOUT_MS = 20_000;
const FIRST_DATA_MS = 2_000;
const MOVE_MS = 5_000;
const LOG_CUT_MS = 60_000;
/** Two of them in a Txn leave a few bytes of the 4 MiB that a request may have. */
const LARGE_VALUE_BYTES = 2_097_120;
/** Few entries stay in the log, so that an outage soon costs a snapshot. */
const LOG_FLAGS = [
  '--raft.snapshot-entries=1000',
  '--raft.compaction-overhead=50',
  '--replication.log-retention-bytes=0',
];

let leaderNode: NodeProcess;
let followerNode: NodeProcess;
let leaderGateway: GatewayProcess;
let leader: FlotillaClient;
let follower: FlotillaClient;
const gateways: GatewayProcess[] = [];

async function startGateway(): Promise<GatewayProcess> {
  const nodes = [followerNode.apiAddress];
  const gateway = await GatewayProcess.startFollower(nodes, leaderGateway.address);
  gateways.push(gateway);
  return gateway;
}

beforeAll(async () => {
  leaderNode = await NodeProcess.start({ flags: LOG_FLAGS });
  leaderGateway = await GatewayProcess.start([leaderNode.apiAddress]);
  followerNode = await NodeProcess.start({
    role: 'follower',
    flags: [`--replication.leader-address=${leaderGateway.address}`],
  });
  const options = { timeoutMs: TIMEOUT_MS };
  leader = new FlotillaClient({ endpoints: [leaderNode.apiAddress], ...options });
  follower = new FlotillaClient({ endpoints: [followerNode.apiAddress], ...options });
});

afterAll(async () => {
  leader.close();
  follower.close();
  for (const gateway of [...gateways, leaderGateway]) await gateway.kill();
  await followerNode.dispose();
  await leaderNode.dispose();
});

/** Puts, deletes of keys and ranges, and transactions of both branches, one after another. */
async function write(table: string, from: number, to: number): Promise<void> {
  for (let nth = from; nth < to; nth++) {
    const key = keyOf(nth % KEYS);
    if (nth % 13 === 0) {
      await leader.deleteRange({ table, key, rangeEnd: keyOf((nth % KEYS) + 5) });
    } else if (nth % 7 === 0) await leader.deleteRange({ table, key });
    else if (nth % 5 === 0) await leader.txn({ table, ...toggle(key, nth) });
    else await leader.put({ table, key, value: `value ${nth}` });
  }
}

async function contentOf(client: FlotillaClient, table: string): Promise<readonly KeyValue[]> {
  const all = { table, key: '\0', rangeEnd: '\0', linearizable: true };
  return (await client.range(all)).kvs;
}

/** Last index of the table's log in the leader cluster. */
async function leaderIndex(table: string): Promise<number> {
  const { tables } = await leader.status();
  return Number(tables[table]?.raftAppliedIndex ?? 0n);
}

async function metric(gateway: GatewayProcess, line: RegExp): Promise<string | undefined> {
  const text = await (await fetch(`${gateway.restAddress}/metrics`)).text();
  return line.exec(text)?.[0];
}

async function copyIndex(table: string): Promise<number> {
  const text = await (await fetch(`${followerNode.restAddress}/metrics`)).text();
  const line = new RegExp(`regatta_replication_index\\{role="follower",table="${table}"\\} (\\d+)`);
  return Number(line.exec(text)?.[1] ?? -1);
}

/** The same pairs, with the revisions they were created and changed at. */
async function expectSame(table: string, timeoutMs = TIMEOUT_MS): Promise<void> {
  const index = await leaderIndex(table);
  const isThere = async () => (await copyIndex(table)) >= index;
  await waitUntil(`${table} is there up to ${index}`, isThere, timeoutMs);
  const [here, there] = [await contentOf(follower, table), await contentOf(leader, table)];
  expect(here).toEqual(there);
  expect(here.length).toBeGreaterThan(0);
}

describe('a follower cluster with a gateway of its own', () => {
  it('has a table two seconds after its gateway is up, with the revisions of the leader cluster', async () => {
    await leader.createTable('orders');
    await write('orders', 1, 100);
    await startGateway();
    const sinceMs = Date.now();
    await expectSame('orders');
    expect(Date.now() - sinceMs).toBeLessThan(FIRST_DATA_MS);
    await write('orders', 100, 200);
    await expectSame('orders');
  });

  it('has a table that is created later within a second or two', async () => {
    await leader.createTable('later');
    await write('later', 1, 20);
    await expectSame('later', FIRST_DATA_MS + 1_000);
  });

  it('shows a write that was made through it once it is answered', async () => {
    for (let nth = 0; nth < 10; nth++) {
      const value = `forwarded ${nth}`;
      await follower.put({ table: 'orders', key: 'mine', value });
      const { kvs } = await follower.range({ table: 'orders', key: 'mine' });
      expect(kvs[0]?.value.toString()).toBe(value);
    }
    await expectSame('orders');
  });

  it('has the largest write that the leader cluster takes', async () => {
    const puts = ['large 1', 'large 2'].map((key) =>
      mvccV1.RequestOp.fromPartial({
        request: {
          $case: 'requestPut',
          value: { key: Buffer.from(key), value: Buffer.alloc(LARGE_VALUE_BYTES, key) },
        },
      }),
    );
    await leader.txn({ table: 'orders', compare: [], success: puts, failure: [] });
    const index = await leaderIndex('orders');
    await waitUntil('it is there', async () => (await copyIndex('orders')) >= index, TIMEOUT_MS);
    const { kvs } = await follower.range({ table: 'orders', key: 'large 2' });
    expect(kvs[0]?.value.equals(Buffer.alloc(LARGE_VALUE_BYTES, 'large 2'))).toBe(true);
    await leader.deleteRange({ table: 'orders', key: 'large 1', rangeEnd: 'large 3' });
    await expectSame('orders');
  });

  it('says how far it is', async () => {
    const [gateway] = gateways;
    if (!gateway) throw new Error('there is no gateway');
    expect(await metric(gateway, /regatta_replication_leased\{table="orders"\} 1/)).toBeDefined();
    const state = /flotilla_puller_state\{table="orders",state="(waiting|pulling)"\} 1/;
    expect(await metric(gateway, state)).toBeDefined();
    const index = await leaderIndex('orders');
    const role = new RegExp(`regatta_replication_index\\{[^}]*role="leader"[^}]*\\} ${index}`);
    expect(await metric(gateway, role)).toBeDefined();
    const ready = await fetch(`${gateway.restAddress}/readyz`);
    expect(ready.status).toBe(200);
  });

  it('goes on after its gateway was killed, without a gap and nothing twice', async () => {
    const [gateway] = gateways;
    const writing = write('orders', 200, 500);
    await waitUntil('some of it is there', async () => (await copyIndex('orders')) > 260);
    await gateway?.kill();
    await writing;
    await gateway?.start();
    await expectSame('orders');
  });

  it('goes on after the gateway of the leader cluster was killed', async () => {
    const writing = write('orders', 500, 700);
    await leaderGateway.kill();
    await writing;
    await leaderGateway.start();
    await expectSame('orders');
  });

  it('has a copy made anew where the log was cut meanwhile, and goes on from there', async () => {
    const [gateway] = gateways;
    await gateway?.kill();
    const next = (await copyIndex('later')) + 1;
    await write('later', 20, 1_500);
    const probe = new PollingFollower(leaderGateway.address, 'later');
    const isCut = async () => (await probe.poll(next).catch(() => 'gap')) === 'use-snapshot';
    await waitUntil('the log was cut', isCut, LOG_CUT_MS).finally(() => probe.close());
    await gateway?.start();
    if (!gateway) throw new Error('there is no gateway');
    const done = /flotilla_puller_snapshots_total\{table="later",outcome="done"\} 1/;
    await waitUntil('it is recovered', async () => (await metric(gateway, done)) !== undefined);
    await write('later', 1_500, 1_520);
    await expectSame('later');
  });

  it('moves the tables of a gateway that is killed to another one within five seconds', async () => {
    for (let nth = 0; nth < 4; nth++) await leader.createTable(`spread-${nth}`);
    const [first] = gateways;
    await first?.stop();
    const [one, other] = await Promise.all([startGateway(), startGateway()]);
    const leased = async (gateway: GatewayProcess) => {
      const text = await (await fetch(`${gateway.restAddress}/metrics`)).text();
      return text.match(/regatta_replication_leased\{table="[^"]+"\} 1/g)?.length ?? 0;
    };
    const isSpread = async () => {
      const counts = [await leased(one), await leased(other)];
      return counts.every((count) => count >= 2) && counts[0] === 6 - (counts[1] ?? 0);
    };
    await waitUntil('both have tables', isSpread, 90_000);
    await other.kill();
    const sinceMs = Date.now();
    await Promise.all(Array.from({ length: 4 }, (_, nth) => write(`spread-${nth}`, 1, 5)));
    await waitUntil('one has all', async () => (await leased(one)) === 6, MOVE_MS + 5_000);
    expect(Date.now() - sinceMs).toBeLessThan(MOVE_MS);
    for (let nth = 0; nth < 4; nth++) await expectSame(`spread-${nth}`);
  });

  it('stops when it is told to, and clean', async () => {
    const left = gateways.filter(({ isRunning }) => isRunning);
    expect(left).toHaveLength(1);
    for (const gateway of left) await gateway.stop();
  });
});

function keyOf(nth: number): string {
  return `key ${String(nth).padStart(4, '0')}`;
}

/** Where the key exists it is deleted, else it is made. */
function toggle(
  name: string,
  nth: number,
): { compare: mvccV1.Compare[]; success: mvccV1.RequestOp[]; failure: mvccV1.RequestOp[] } {
  const key = Buffer.from(name);
  const of = (request: mvccV1.RequestOp['request']) => mvccV1.RequestOp.fromPartial({ request });
  const value = mvccV1.RequestOp_Put.fromPartial({ key, value: Buffer.from(`made ${nth}`) });
  const range = mvccV1.RequestOp_DeleteRange.fromPartial({ key });
  return {
    compare: [mvccV1.Compare.fromPartial({ key })],
    success: [of({ $case: 'requestDeleteRange', value: range })],
    failure: [of({ $case: 'requestPut', value })],
  };
}
