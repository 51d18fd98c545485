/**
 * Point reads at a steady pace, as a process of its own: the load of somebody who uses the cluster.
 *
 * In: a plan, then marks, over IPC. Out: at each mark the latencies since the one before. The load is
 * open: a read that is due is sent whether those before were answered or not, and its latency counts from
 * when it was due. It ends with the process that started it.
 */
import { createHistogram } from 'node:perf_hooks';
import { createGrpcClient, type GrpcClient } from '@flotilla/grpc';
import { Numbers } from '../load/request-filler.js';
import { regattaProtocol } from '../servers/regatta-protocol.js';
import { rowKey } from './load-rows.js';
import type { ReadCommand, ReadFigures, ReadPlan, ReadReply } from './read-plan.js';

const TICK_MS = 1;
const CALL_MS = 60_000;
const IN_FLIGHT_MAX = 2_000;
const NS_PER_MS = 1e6;

class SteadyReads {
  private readonly client: GrpcClient;
  private readonly numbers = new Numbers();
  private readonly histogram = createHistogram();
  private readonly startMs = performance.now();
  private due = 0;
  private open = 0;
  private notSent = 0;
  private failure: string | undefined;

  constructor(private readonly plan: ReadPlan) {
    this.client = createGrpcClient(plan.address);
    setInterval(() => this.tick(), TICK_MS);
  }

  /** Since the last mark. */
  mark(): ReadReply {
    const { histogram, failure, notSent } = this;
    if (failure !== undefined) return { error: failure };
    const at = (percent: number) => histogram.percentile(percent) / NS_PER_MS;
    const figures: ReadFigures = {
      ...{ reads: histogram.count, notSent, p50Ms: at(50), p99Ms: at(99) },
      maxMs: histogram.max / NS_PER_MS,
    };
    histogram.reset();
    this.notSent = 0;
    return { figures };
  }

  private tick(): void {
    const { ratePerSecond } = this.plan;
    const dueNow = Math.floor(((performance.now() - this.startMs) / 1_000) * ratePerSecond) + 1;
    for (; this.due < dueNow; this.due++) {
      const dueMs = this.startMs + (this.due * 1_000) / ratePerSecond;
      if (this.open >= IN_FLIGHT_MAX) this.notSent++;
      else this.read(dueMs);
    }
  }

  private read(dueMs: number): void {
    const key = rowKey(this.numbers.below(this.plan.rows));
    this.open++;
    this.client
      .unary(regattaProtocol.rangePath, regattaProtocol.range({ key }), { deadlineMs: CALL_MS })
      .then((answer) => {
        const { values } = regattaProtocol.readRange(answer);
        if (values.length !== 1) this.failure ??= `a read of ${key.toString()} found nothing`;
        const ns = Math.round((performance.now() - dueMs) * NS_PER_MS);
        this.histogram.record(Math.max(1, ns));
      })
      .catch((error: unknown) => {
        this.failure ??= String(error);
      })
      .finally(() => this.open--);
  }
}

let reads: SteadyReads | undefined;
process.on('message', (command: ReadCommand) => {
  if (command.kind === 'start') reads = new SteadyReads(command.plan);
  else process.send?.(reads?.mark() ?? { error: 'nothing is read yet' });
});
process.on('disconnect', () => process.exit(0));
