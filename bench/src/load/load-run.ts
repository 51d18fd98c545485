/**
 * One run of the load client: keeps a number of requests in flight, and measures.
 *
 *   connecting -> warming up -> measuring -> draining -> done     (for a time)
 *   connecting -> measuring ---------------------------> done     (a number of requests)
 *
 * The load is closed: the next request of a stream leaves when the answer before it has come. CPU of
 * servers and client is read at the two ends of the measurement, from within this process.
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { cpuSeconds } from '@flotilla/e2e/figures';
import { LoadConnection } from './connection.js';
import type { LoadPlan, LoadResult, TemplateResult } from './plan.js';
import { Numbers, RequestFiller } from './request-filler.js';

/** A run in which nothing comes back for this long has failed. */
const STALL_MS = 60_000;
const LOOK_MS = 1_000;
const NS_PER_MS = 1e6;

class Tally {
  readonly histogram: RecordableHistogram = createHistogram();
  requests = 0;
  answered = 0;
  answerBytesMin = Infinity;

  result(name: string): TemplateResult {
    const { requests, answered, answerBytesMin } = this;
    return { name, requests, answered, answerBytesMin, ...percentiles(this.histogram) };
  }
}

interface Moment {
  readonly ms: number;
  readonly serverCpuSeconds: number;
  readonly clientCpuMicros: number;
}

export class LoadRun {
  private readonly numbers = new Numbers();
  private readonly fillers: readonly RequestFiller[];
  private readonly tallies: readonly Tally[];
  private readonly weights: number;
  private connections: LoadConnection[] = [];
  private phase: 'priming' | 'warming' | 'measuring' | 'draining' = 'priming';
  private issued = 0;
  private open = 0;
  private began: Moment | undefined;
  private finished: Moment | undefined;
  private progressMs = performance.now();
  private end: ((error?: Error) => void) | undefined;

  constructor(private readonly plan: LoadPlan) {
    this.fillers = plan.templates.map((each) => new RequestFiller(each, this.numbers));
    this.tallies = plan.templates.map(() => new Tally());
    this.weights = plan.templates.reduce((sum, { weight }) => sum + weight, 0);
  }

  /** Rejects with the first request that did not succeed. */
  async run(): Promise<LoadResult> {
    const ended = new Promise<void>((resolve, reject) => {
      this.end = (error) => (error ? reject(error) : resolve());
    });
    const watch = setInterval(() => this.look(), LOOK_MS);
    const { course } = this.plan;
    const timers: NodeJS.Timeout[] = [];
    try {
      await Promise.race([ended, this.connect()]);
      this.phase = 'warming';
      if (course.kind === 'counted') this.begin();
      else {
        const measure = () => {
          this.begin();
          // Counted from here: a late beginning must not shorten what is measured.
          timers.push(setTimeout(() => this.finish(), course.seconds * 1000));
        };
        timers.push(setTimeout(measure, course.warmUpSeconds * 1000));
      }
      this.start();
      await ended;
      return this.result();
    } finally {
      clearInterval(watch);
      for (const timer of timers) clearTimeout(timer);
      for (const connection of this.connections) connection.close();
    }
  }

  private async connect(): Promise<void> {
    for (let count = 0; count < this.plan.connections; count++) {
      const connection: LoadConnection = await LoadConnection.open(this.plan, this.fillers, {
        onAnswer: (template, sentMs, nowMs, bytes) =>
          this.onAnswer(connection, template, sentMs, nowMs, bytes),
        onFailure: (error) => this.end?.(error),
      });
      this.connections.push(connection);
      // A counted run sends each key once: what goes first is the first of them.
      await connection.prime(() => this.nextKey());
    }
  }

  private start(): void {
    for (const connection of this.connections) {
      for (let count = 0; count < this.plan.streams; count++) this.another(connection);
      connection.flush();
    }
    if (this.open === 0) this.finish();
  }

  private another(connection: LoadConnection): void {
    if (this.phase === 'draining') return;
    const { course } = this.plan;
    if (course.kind === 'counted' && this.issued >= course.requests) return;
    this.open++;
    connection.request(this.nextTemplate(), this.nextKey());
  }

  private onAnswer(
    connection: LoadConnection,
    template: number,
    sentMs: number,
    nowMs: number,
    bytes: number,
  ): void {
    const tally = this.tallies[template];
    if (!tally) return;
    tally.answered++;
    if (bytes < tally.answerBytesMin) tally.answerBytesMin = bytes;
    this.progressMs = nowMs;
    if (this.phase === 'priming') return;
    this.open--;
    if (this.phase === 'measuring') {
      tally.requests++;
      tally.histogram.record(Math.max(1, Math.round((nowMs - sentMs) * NS_PER_MS)));
    }
    this.another(connection);
    if (this.open > 0) return;
    if (this.phase === 'measuring') this.finish();
    this.end?.();
  }

  private nextTemplate(): number {
    if (this.fillers.length === 1) return 0;
    let left = this.numbers.below(this.weights);
    for (const [at, { weight }] of this.plan.templates.entries()) {
      left -= weight;
      if (left < 0) return at;
    }
    return 0;
  }

  private nextKey(): number {
    const { course, keys, keysEach } = this.plan;
    const count = this.issued++;
    if (course.kind === 'counted') return (count * keysEach) % keys;
    return this.numbers.below(keys - keysEach + 1);
  }

  private begin(): void {
    this.phase = 'measuring';
    this.began = this.moment();
  }

  private finish(): void {
    this.finished ??= this.moment();
    this.phase = 'draining';
    if (this.open === 0) this.end?.();
  }

  private moment(): Moment {
    const { user, system } = process.cpuUsage();
    const serverCpuSeconds = this.plan.pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
    return { ms: performance.now(), serverCpuSeconds, clientCpuMicros: user + system };
  }

  private look(): void {
    const silentMs = performance.now() - this.progressMs;
    if (silentMs > STALL_MS) this.end?.(new Error(`no answer for ${Math.round(silentMs)} ms`));
  }

  private result(): LoadResult {
    const { began, finished } = this;
    if (!began || !finished) throw new Error('the run was not measured');
    const all = createHistogram();
    for (const { histogram } of this.tallies) if (histogram.count > 0) all.add(histogram);
    return {
      requests: this.tallies.reduce((sum, { requests }) => sum + requests, 0),
      seconds: (finished.ms - began.ms) / 1000,
      ...percentiles(all),
      maxMs: all.max / NS_PER_MS,
      serverCpuMicros: (finished.serverCpuSeconds - began.serverCpuSeconds) * 1e6,
      clientCpuMicros: finished.clientCpuMicros - began.clientCpuMicros,
      templates: this.tallies.map((tally, at) => tally.result(this.plan.templates[at]?.name ?? '')),
    };
  }
}

function percentiles(histogram: RecordableHistogram): { p50Ms: number; p99Ms: number } {
  const at = (percent: number) => histogram.percentile(percent) / NS_PER_MS;
  return { p50Ms: at(50), p99Ms: at(99) };
}
