/**
 * A replica that was away for many writes: `node e2e/dist/bench/catch-up.js [WRITES]`.
 *
 * Twice: once where the log still has what it lacks, once where it does not and the state has to be
 * sent. Says how long it took, how much memory both sides needed, and that the others served.
 */
import { type FlotillaClient } from '@flotilla/client';
import { Cluster, waitUntil } from '../harness/cluster.js';
import { memoryMiB, metric, quantile } from './figures.js';

const TABLE = 'catch-up';
const WRITES = Number(process.argv[2] ?? 200_000);
const CONCURRENCY = 64;
const VALUE = Buffer.alloc(100, 'x');
const AWAY = 3;
const WAIT_MS = 300_000;

const FLAGS = {
  log: ['--raft.log-bytes-max=2147483648'],
  snapshot: [
    '--raft.log-bytes-max=1048576',
    '--raft.snapshot-entries=1000',
    '--raft.compaction-overhead=500',
  ],
} as const;

async function writeMany(client: FlotillaClient): Promise<number> {
  let next = 0;
  const startedMs = performance.now();
  const writer = async () => {
    for (let at = next++; at < WRITES; at = next++) {
      await client.put({ table: TABLE, key: `key-${at}`, value: VALUE });
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, writer));
  return performance.now() - startedMs;
}

/** Reads and writes through the other nodes until told to stop; returns how long each call took. */
async function serveMeanwhile(client: FlotillaClient, isOver: () => boolean): Promise<number[]> {
  const times: number[] = [];
  while (!isOver()) {
    const startedMs = performance.now();
    await client.put({ table: TABLE, key: 'meanwhile', value: VALUE });
    times.push(performance.now() - startedMs);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return times;
}

async function round(kind: keyof typeof FLAGS): Promise<void> {
  const cluster = await Cluster.start(3, { flags: FLAGS[kind] });
  const client = cluster.client(1, 60_000);
  await client.createTable(TABLE);
  await client.put({ table: TABLE, key: 'first', value: VALUE });
  await cluster.node(AWAY).kill();
  const tookMs = await writeMany(client);
  console.log(`${kind}: ${WRITES} writes in ${(tookMs / 1000).toFixed(1)} s`);
  // Long enough for the log to be cut where it may be.
  await new Promise((resolve) => setTimeout(resolve, 12_000));
  const leader = await cluster.leaderOf(TABLE);
  const before = memoryMiB(cluster.node(leader).pid);
  const startedMs = performance.now();
  await cluster.node(AWAY).start();
  let over = false;
  const meanwhile = serveMeanwhile(client, () => over);
  const receiver = cluster.client(AWAY, 60_000);
  const first = memoryMiB(cluster.node(AWAY).pid);
  const goal = Number((await client.status(false)).tables[TABLE]?.raftAppliedIndex ?? 0);
  await waitUntil(
    'the replica has everything',
    async () => {
      const { tables } = await receiver.status(false);
      return Number(tables[TABLE]?.raftAppliedIndex ?? 0) >= goal;
    },
    WAIT_MS,
  );
  const caughtUpMs = performance.now() - startedMs;
  over = true;
  const times = (await meanwhile).sort((a, b) => a - b);
  const { count } = await receiver.range({
    table: TABLE,
    key: '\0',
    rangeEnd: '\0',
    countOnly: true,
  });
  const snapshots = await metric(cluster.node(AWAY).restAddress, 'flotilla_snapshots_total');
  const [sender, taker] = [leader, AWAY].map((id) => memoryMiB(cluster.node(id).pid));
  console.log(
    `${kind}: ${count} keys there ${(caughtUpMs / 1000).toFixed(1)} s after the start of the process; ` +
      `snapshots installed ${snapshots.get('{kind="installed"}')}`,
  );
  console.log(
    `${kind}: resident memory MiB: sender ${before.now.toFixed(0)} before, ${sender?.now.toFixed(0)} after, ` +
      `${sender?.peak.toFixed(0)} peak; receiver ${first.now.toFixed(0)} at start, ` +
      `${taker?.now.toFixed(0)} after, ${taker?.peak.toFixed(0)} peak`,
  );
  console.log(
    `${kind}: ${times.length} puts through node 1 meanwhile: median ${quantile(times, 0.5).toFixed(1)} ms, ` +
      `p99 ${quantile(times, 0.99).toFixed(1)} ms, worst ${quantile(times, 1).toFixed(1)} ms`,
  );
  await cluster.dispose();
}

await round('log');
await round('snapshot');
