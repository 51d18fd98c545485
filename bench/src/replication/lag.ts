/**
 * `lag`: how long after the leader cluster has acknowledged a write the follower cluster serves it.
 *
 *   puts at a steady rate --every nth, acknowledged--> a read at the follower with its revision
 *
 * In: a rate and a time. Out: quantiles of the lag, and of a plain read of the follower, which is part
 * of each. The load is open: a stall does not keep later puts from being due.
 */
import { createGrpcClient } from '@flotilla/grpc';
import { quantile } from '@flotilla/e2e/figures';
import { regattaV1 } from '@flotilla/proto';
import { ClusterPair } from './cluster-pair.js';
import type { Figures } from './replication-report.js';
import type { ReplicationOptions } from './replication-options.js';

const TABLE = 'lag';
const KEYS = 10_000;
const VALUE = Buffer.alloc(100, 'v');
const TICK_MS = 2;
/** Puts on their way; what is due beyond is not sent, and told. */
const IN_FLIGHT_MAX = 4_000;
const SAMPLES_PER_SECOND = 300;
const SAMPLES_OPEN_MAX = 1_000;
const READ_MS = 60_000;
const WARM_UP_MS = 2_000;

export async function measureLag(options: ReplicationOptions): Promise<Figures> {
  const pair = await ClusterPair.start(options);
  try {
    await pair.startFollowerNode();
    await pair.startGateway();
    await pair.leader.createTable(TABLE);
    await pair.leader.put({ table: TABLE, key: 'first', value: VALUE });
    await pair.untilCopied(TABLE, await pair.leaderIndex(TABLE), READ_MS);
    const load = new SteadyLoad(pair, options.rate);
    await load.run(WARM_UP_MS);
    load.forget();
    await load.run(options.seconds * 1_000);
    const figures = load.figures(options.seconds);
    load.close();
    return figures;
  } finally {
    await pair.dispose();
  }
}

class SteadyLoad {
  private readonly reader;
  private readonly sampleEvery: number;
  private lags: number[] = [];
  private reads: number[] = [];
  private acknowledged = 0;
  private notSent = 0;
  private samplesLeftOut = 0;
  private sent = 0;
  private open = 0;
  private openSamples = 0;
  private failure: Error | undefined;
  private pending = new Set<Promise<void>>();

  constructor(
    private readonly pair: ClusterPair,
    private readonly rate: number,
  ) {
    this.reader = createGrpcClient(pair.node.apiAddress);
    this.sampleEvery = Math.max(1, Math.round(rate / SAMPLES_PER_SECOND));
  }

  close(): void {
    this.reader.close();
  }

  forget(): void {
    [this.lags, this.reads] = [[], []];
    this.acknowledged = this.notSent = this.samplesLeftOut = 0;
  }

  /** Settles once all puts and samples of this time are over. */
  async run(durationMs: number): Promise<void> {
    const startMs = performance.now();
    let due = 0;
    for (let nowMs = startMs; nowMs < startMs + durationMs; nowMs = performance.now()) {
      const dueNow = Math.floor(((nowMs - startMs) / 1_000) * this.rate);
      for (; due < dueNow; due++) this.put();
      if (this.failure) throw this.failure;
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
    while (this.pending.size > 0) await Promise.all(this.pending);
    if (this.failure) throw this.failure;
  }

  figures(seconds: number): Figures {
    const lags = [...this.lags].sort((a, b) => a - b);
    const reads = [...this.reads].sort((a, b) => a - b);
    if (lags.length === 0) throw new Error('nothing was sampled');
    return {
      putsPerSecond: this.acknowledged / seconds,
      lagP50Ms: quantile(lags, 0.5),
      lagP99Ms: quantile(lags, 0.99),
      lagMaxMs: quantile(lags, 1),
      readP50Ms: quantile(reads, 0.5),
      samples: lags.length,
      samplesLeftOut: this.samplesLeftOut,
      putsNotSent: this.notSent,
    };
  }

  private put(): void {
    if (this.open >= IN_FLIGHT_MAX) {
      this.notSent++;
      return;
    }
    const nth = this.sent++;
    this.open++;
    this.keep(
      this.pair.leader
        .put({ table: TABLE, key: `key-${nth % KEYS}`, value: VALUE })
        .then(({ header }) => {
          this.acknowledged++;
          if (nth % this.sampleEvery === 0) this.sample(header.revision);
        })
        .finally(() => this.open--),
    );
  }

  private sample(revision: number): void {
    if (this.openSamples >= SAMPLES_OPEN_MAX) {
      this.samplesLeftOut++;
      return;
    }
    this.openSamples++;
    const sinceMs = performance.now();
    this.keep(
      this.read({ 'min-revision': String(revision) })
        .then(async () => {
          this.lags.push(performance.now() - sinceMs);
          const againMs = performance.now();
          await this.read({});
          this.reads.push(performance.now() - againMs);
        })
        .finally(() => this.openSamples--),
    );
  }

  private async read(metadata: Record<string, string>): Promise<void> {
    const fields = { table: Buffer.from(TABLE), key: Buffer.from('first') };
    const request = regattaV1.RangeRequest.fromPartial(fields);
    const bytes = regattaV1.RangeRequest.encode(request).finish();
    await this.reader.unary('/regatta.v1.KV/Range', bytes, { metadata, deadlineMs: READ_MS });
  }

  private keep(work: Promise<void>): void {
    const kept: Promise<void> = work
      .catch((error: unknown) => {
        this.failure ??= error instanceof Error ? error : new Error(String(error));
      })
      .finally(() => this.pending.delete(kept));
    this.pending.add(kept);
  }
}
