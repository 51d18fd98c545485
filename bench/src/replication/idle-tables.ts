/**
 * `idle-tables`: what many tables cost that nobody writes into, and how long they are without a puller
 * when the gateway that has them is killed.
 *
 * Messages are what passes between the clusters, by pieces and bytes; CPU is that of each gateway.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSeconds } from '@flotilla/e2e/figures';
import { ClusterPair, eachOf, until } from './cluster-pair.js';
import { fieldOf, type Figures } from './replication-report.js';
import type { ReplicationOptions } from './replication-options.js';

const CONCURRENCY = 16;
const WAIT_MS = 30 * 60_000;
/** Idle tables are polled less and less often for so long. */
const CALM_MS = 10_000;
/** A look costs the node a row a table: more of them would slow down what is measured. */
const LOOK_MS = 100;
/** States in which a table has a puller that does its work. */
const PULLED = ['pulling', 'waiting'];

export async function measureIdleTables(options: ReplicationOptions): Promise<Figures> {
  const pair = await ClusterPair.start({ ...options, countsTraffic: true });
  try {
    const names = Array.from({ length: options.tables }, (_, nth) => `table-${nth}`);
    await eachOf(options.tables, CONCURRENCY, async (nth) => {
      const table = names[nth] ?? '';
      await pair.leader.createTable(table);
      await pair.leader.put({ table, key: 'first', value: 'v' });
    });
    await pair.startFollowerNode();
    const startMs = performance.now();
    const first = await pair.startGateway();
    await until('all tables are pulled', WAIT_MS, async () => {
      const { tables } = await pair.replication();
      return tables.filter(({ revision = 0 }) => revision > 0).length >= names.length;
    });
    const allMs = performance.now() - startMs;
    await sleep(CALM_MS);
    const idle = await watch(pair, options.seconds);
    // The second one has none of them yet: those that have just come are given tables after a while.
    const before = new Set((await pair.replication()).tables.map(({ gateway }) => gateway));
    const second = await pair.startGateway();
    await first.kill();
    const killedMs = performance.now();
    const last = await holderAfter(pair, before, names.length);
    const movedMs = performance.now() - killedMs;
    await second.stop();
    return { tables: names.length, allMs, ...idle, movedMs, holders: last };
  } finally {
    await pair.dispose();
  }
}

async function watch(pair: ClusterPair, seconds: number): Promise<Figures> {
  const { proxy } = pair;
  if (!proxy) throw new Error('what passes between the clusters is not counted');
  const before = { ...proxy.traffic };
  const gateways = pair.processes.filter(({ name }) => name.includes('gateway'));
  const cpu = gateways.map(({ pid }) => cpuSeconds(pid));
  await sleep(seconds * 1_000);
  const used = gateways.map(({ name, pid }, at) => [
    `${fieldOf(name)}CpuPercent`,
    ((cpuSeconds(pid) - (cpu[at] ?? 0)) / seconds) * 100,
  ]);
  return {
    messagesPerSecond: (proxy.traffic.chunks - before.chunks) / seconds,
    bytesPerSecond: (proxy.traffic.bytes - before.bytes) / seconds,
    ...(Object.fromEntries(used) as Figures),
  };
}

/** Settles once all tables have one holder that is not the one they had before. */
async function holderAfter(
  pair: ClusterPair,
  before: ReadonlySet<string>,
  count: number,
): Promise<number> {
  let holders = 0;
  const hasAll = async () => {
    const { tables } = await pair.replication();
    const moved = tables.filter(({ gateway }) => gateway !== '' && !before.has(gateway));
    holders = new Set(moved.map(({ gateway }) => gateway)).size;
    const isTold = tables.some(({ state }) => PULLED.includes(state));
    const isPulled = moved.every(({ state }) => !isTold || PULLED.includes(state));
    return moved.length >= count && isPulled;
  };
  await until('another gateway has all tables', WAIT_MS, hasAll, LOOK_MS);
  return holders;
}
