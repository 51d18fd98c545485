/**
 * How long writes stop when the leader of a table is killed: `node e2e/dist/bench/failover.js [ROUNDS]`.
 *
 * Three nodes, one writer that writes all the time, through a client that knows all of them. Measured
 * from the kill -9 to the next acknowledged write, as the client sees it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError, type FlotillaClient } from '@flotilla/client';
import { Cluster, waitUntil } from '../harness/cluster.js';
import { quantile } from './figures.js';

const TABLE = 'failover';
const ROUNDS = Number(process.argv[2] ?? 50);
const CALM_MS = 1_500;

class Writer {
  lastAcknowledgedMs = 0;
  acknowledged = 0;
  retries = 0;
  stopped = false;

  constructor(private readonly client: FlotillaClient) {}

  async run(): Promise<void> {
    for (let count = 0; !this.stopped; count++) {
      try {
        await this.client.put({ table: TABLE, key: `k${count % 100}`, value: String(count) });
        this.lastAcknowledgedMs = performance.now();
        this.acknowledged++;
      } catch (error) {
        if (!(error instanceof ClientError) || !error.retryable) throw error;
        this.retries++;
      }
    }
  }
}

const cluster = await Cluster.start(3);
await cluster.client().createTable(TABLE);
const times: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  const leader = await cluster.leaderOf(TABLE);
  const survivors = cluster.ids.filter((id) => id !== leader);
  // Half of the rounds through a node that lives on, half through a client that has to fail over.
  const client =
    round % 2 === 0 ? cluster.client(survivors[0], 5_000) : cluster.client(undefined, 5_000);
  const writer = new Writer(client);
  const writing = writer.run();
  await sleep(300);
  const killedMs = performance.now();
  await cluster.node(leader).kill();
  while (writer.lastAcknowledgedMs < killedMs + 1) await sleep(1);
  await waitUntil(
    'a write is acknowledged after the kill',
    () => writer.lastAcknowledgedMs > killedMs,
  );
  // The first acknowledgement after the kill may have been on its way already: the gap is what counts.
  const tookMs = await gapAfter(writer, killedMs);
  times.push(tookMs);
  writer.stopped = true;
  await writing;
  await cluster.node(leader).start();
  await sleep(CALM_MS);
  process.stdout.write(`${round + 1}: ${tookMs.toFixed(0)} ms\n`);
}
await cluster.dispose();
const sorted = [...times].sort((a, b) => a - b);
console.log(
  `kill -9 of the leader to the next acknowledged write, ${ROUNDS} rounds: median ` +
    `${quantile(sorted, 0.5).toFixed(0)} ms, p90 ${quantile(sorted, 0.9).toFixed(0)} ms, worst ` +
    `${quantile(sorted, 1).toFixed(0)} ms`,
);

/** From the kill to the end of the longest pause in acknowledgements that followed it. */
async function gapAfter(writer: Writer, killedMs: number): Promise<number> {
  let last = killedMs;
  let longest = 0;
  let at = killedMs;
  const untilMs = performance.now() + 1_000;
  while (performance.now() < untilMs) {
    if (writer.lastAcknowledgedMs > last) {
      if (writer.lastAcknowledgedMs - last > longest) {
        longest = writer.lastAcknowledgedMs - last;
        at = writer.lastAcknowledgedMs;
      }
      last = writer.lastAcknowledgedMs;
    }
    await sleep(1);
  }
  return at - killedMs;
}
