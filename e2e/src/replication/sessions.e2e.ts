/**
 * What becomes of a gateway's tables, a hundred of them, when it is killed, stopped, or stands still for
 * longer than its session lasts: real processes, and a second gateway that goes on.
 */
import { FlotillaClient, type TableReplication } from '@flotilla/client';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { waitUntil } from '../harness/cluster.js';
import { GatewayProcess } from '../harness/gateway-process.js';
import { NodeProcess } from '../harness/node-process.js';

const TABLES = 100;
const CONCURRENCY = 8;
const TIMEOUT_MS = 30_000;
/** Wanted are 5 s after a kill and less than 1 s after a stop; machines that do other things too take longer. */
const MOVE_MS_MAX = 30_000;
const SPREAD_MS = 120_000;
const SESSION_MS = 3_000;
const PULLED = ['pulling', 'waiting'];

let leaderNode: NodeProcess;
let followerNode: NodeProcess;
let leaderGateway: GatewayProcess;
let leader: FlotillaClient;
let follower: FlotillaClient;
const gateways: GatewayProcess[] = [];
const names = Array.from({ length: TABLES }, (_, nth) => `table-${nth}`);

async function startGateway(): Promise<GatewayProcess> {
  const nodes = [followerNode.apiAddress];
  const gateway = await GatewayProcess.startFollower(nodes, leaderGateway.address);
  gateways.push(gateway);
  return gateway;
}

async function tables(): Promise<readonly TableReplication[]> {
  return (await follower.replication.status()).tables;
}

/** How many tables each gateway holds, the most first. */
async function shares(): Promise<number[]> {
  const counts = new Map<string, number>();
  for (const { gateway } of await tables()) counts.set(gateway, (counts.get(gateway) ?? 0) + 1);
  counts.delete('');
  return [...counts.values()].sort((a, b) => b - a);
}

/** The tables that this gateway pulls, by what it says itself. */
async function pulledBy(gateway: GatewayProcess): Promise<number> {
  const text = await (await fetch(`${gateway.restAddress}/metrics`)).text();
  const states = text.matchAll(/flotilla_puller_state\{table="[^"]+",state="([^"]+)"\} 1/g);
  return [...states].filter(([, state = '']) => PULLED.includes(state)).length;
}

async function moved(to: GatewayProcess, why: string, withinMs = MOVE_MS_MAX): Promise<void> {
  const sinceMs = Date.now();
  const hasAll = async () => (await pulledBy(to)) === TABLES;
  await waitUntil(`one gateway has all tables, ${why}`, hasAll, withinMs);
  console.log(
    `${TABLES} tables were pulled by the other gateway ${Date.now() - sinceMs} ms ${why}`,
  );
}

async function writeAll(value: string): Promise<void> {
  const waiting = names.values();
  const worker = async () => {
    for (const table of waiting) await leader.put({ table, key: 'key', value });
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
}

async function expectAll(value: string): Promise<void> {
  for (const table of names) {
    const isThere = async () => {
      const { kvs } = await follower.range({ table, key: 'key' });
      return kvs[0]?.value.toString() === value;
    };
    await waitUntil(`${table} has ${value}`, isThere, MOVE_MS_MAX);
  }
}

beforeAll(async () => {
  leaderNode = await NodeProcess.start();
  leaderGateway = await GatewayProcess.start([leaderNode.apiAddress]);
  followerNode = await NodeProcess.start({
    role: 'follower',
    flags: [`--replication.leader-address=${leaderGateway.address}`],
  });
  leader = new FlotillaClient({ endpoints: [leaderNode.apiAddress], timeoutMs: TIMEOUT_MS });
  follower = new FlotillaClient({ endpoints: [followerNode.apiAddress], timeoutMs: TIMEOUT_MS });
  const waiting = names.values();
  const worker = async () => {
    for (const table of waiting) await leader.createTable(table);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  await writeAll('first');
}, 120_000);

afterAll(async () => {
  leader.close();
  follower.close();
  for (const gateway of [...gateways, leaderGateway]) await gateway.kill();
  await followerNode.dispose();
  await leaderNode.dispose();
});

describe('the tables of a gateway', () => {
  it('are shared with one that comes later', async () => {
    const one = await startGateway();
    await moved(one, 'after it was started', SPREAD_MS);
    await startGateway();
    const isSpread = async () => (await shares()).join() === `${TABLES / 2},${TABLES / 2}`;
    await waitUntil('both have their share', isSpread, SPREAD_MS);
    await expectAll('first');
  }, 300_000);

  it('are pulled by another one soon after it was killed', async () => {
    const [one, other] = gateways;
    if (!one || !other) throw new Error('there are no gateways');
    await one.kill();
    await moved(other, 'after a kill');
    await writeAll('second');
    await expectAll('second');
  }, 120_000);

  it('are pulled by another one at once after it was stopped', async () => {
    const [one, other] = gateways;
    if (!one || !other) throw new Error('there are no gateways');
    await one.start();
    const isSpread = async () => (await shares()).join() === `${TABLES / 2},${TABLES / 2}`;
    await waitUntil('both have their share', isSpread, SPREAD_MS);
    await other.stop();
    await moved(one, 'after a stop');
    await writeAll('third');
    await expectAll('third');
  }, 180_000);

  it('are left alone by it once it goes on after a pause that was longer than its session', async () => {
    const [one, other] = gateways;
    if (!one || !other) throw new Error('there are no gateways');
    const before = await tables();
    one.signal('SIGSTOP');
    try {
      await other.start();
      await moved(other, 'after a pause');
      await new Promise((resolve) => setTimeout(resolve, SESSION_MS));
      await writeAll('fourth');
      await expectAll('fourth');
    } finally {
      one.signal('SIGCONT');
    }
    await waitUntil('it knows that', () => one.output.includes('the session has run out'));
    await writeAll('fifth');
    await expectAll('fifth');
    const [held = ''] = new Set(before.map(({ gateway }) => gateway));
    // Where the leader cluster is, is told a moment after the entry itself has come.
    const isEven = async () =>
      (await tables()).every(({ revision, leaderRevision }) => revision === leaderRevision);
    await waitUntil('all copies are where the leader cluster is', isEven, MOVE_MS_MAX);
    // It is a gateway like others again, under the same name, and is given its share of them.
    const isBack = async () => (await tables()).some(({ gateway }) => gateway === held);
    await waitUntil('it has tables again', isBack, SPREAD_MS);
  }, 240_000);
});
