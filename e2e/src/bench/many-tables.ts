/**
 * Many tables: `node e2e/dist/bench/many-tables.js [IDLE] [ALL]`.
 *
 * Creates IDLE tables on three nodes and measures what they cost while nobody uses them: CPU, and
 * messages between nodes. Then creates more until there are ALL, and says how long that took and what
 * memory it needs.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster } from '../harness/cluster.js';
import { cpuSeconds, memoryMiB, metric } from './figures.js';

const IDLE = Number(process.argv[2] ?? 1_000);
const ALL = Number(process.argv[3] ?? 10_000);
const CONCURRENCY = 32;
const SETTLE_MS = 15_000;
const WATCH_S = 60;

const cluster = await Cluster.start(3);
const clients = cluster.ids.map((id) => cluster.client(id, 30_000));

async function createUpTo(from: number, to: number): Promise<void> {
  let next = from;
  const startedMs = performance.now();
  const creator = async (worker: number) => {
    for (let at = next++; at < to; at = next++) {
      await clients[worker % clients.length]?.createTable(`table-${at}`);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, (_, worker) => creator(worker)));
  const seconds = (performance.now() - startedMs) / 1000;
  const count = to - from;
  console.log(
    `${count} tables created in ${seconds.toFixed(1)} s: ${(count / seconds).toFixed(0)} a second; ${memory()}`,
  );
}

function memory(): string {
  const each = cluster.ids.map((id) => {
    const { now, peak } = memoryMiB(cluster.node(id).pid);
    return `node ${id} ${now.toFixed(0)} (peak ${peak.toFixed(0)})`;
  });
  return `resident MiB: ${each.join(', ')}`;
}

async function watchIdle(label: string): Promise<void> {
  await sleep(SETTLE_MS);
  const look = async () =>
    Promise.all(
      cluster.ids.map(async (id) => {
        const { restAddress, pid } = cluster.node(id);
        const sent = '{kind="sent"}';
        return {
          cpu: cpuSeconds(pid),
          frames: (await metric(restAddress, 'flotilla_peer_frames_total')).get(sent) ?? NaN,
          messages: (await metric(restAddress, 'flotilla_peer_messages_total')).get(sent) ?? NaN,
          awake: (await metric(restAddress, 'flotilla_raft_groups')).get('{kind="awake"}') ?? NaN,
        };
      }),
    );
  const before = await look();
  await sleep(WATCH_S * 1000);
  const after = await look();
  for (const [at, id] of cluster.ids.entries()) {
    const [a, b] = [before[at], after[at]];
    if (!a || !b) continue;
    const rate = (from: number, to: number) => ((to - from) / WATCH_S).toFixed(1);
    console.log(
      `${label}, node ${id}: ${((100 * (b.cpu - a.cpu)) / WATCH_S).toFixed(2)} % CPU, ` +
        `${rate(a.frames, b.frames)} frames/s and ${rate(a.messages, b.messages)} raft messages/s sent, ` +
        `${b.awake} groups awake`,
    );
  }
}

await watchIdle('no tables');
await createUpTo(0, IDLE);
await watchIdle(`${IDLE} idle tables`);
if (ALL > IDLE) {
  await createUpTo(IDLE, ALL);
  await watchIdle(`${ALL} idle tables`);
  console.log(memory());
  const startedMs = performance.now();
  await Promise.all(cluster.ids.map((id) => cluster.node(id).stop()));
  console.log(`all stopped in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  const againMs = performance.now();
  await Promise.all(cluster.ids.map((id) => cluster.node(id).start()));
  console.log(
    `all serving again after ${((performance.now() - againMs) / 1000).toFixed(1)} s; ${memory()}`,
  );
}
await cluster.dispose();
