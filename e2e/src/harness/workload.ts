/**
 * Writers that remember what was acknowledged to them, and the check that all of it is there.
 *
 * Each writer has keys of its own and writes growing numbers to them. A failure that may be tried
 * again is tried again; any other one is a failure of the test.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError, type FlotillaClient } from '@flotilla/client';

const KEYS_PER_WRITER = 20;
const PAUSE_MS = 5;
const RETRYABLE: ReadonlySet<string> = new Set(['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'CANCELLED']);

interface Written {
  /** The last number that was acknowledged, and the last that may have been written. */
  acknowledged: number;
  tried: number;
  revision: number;
}

export class Workload {
  readonly keys: Map<string, Written>;
  acknowledged = 0;
  retried = 0;
  reads = 0;
  /** Failures that no client would try again; there must be none. */
  readonly failures: string[] = [];
  /** When each acknowledgement came, in milliseconds; for gaps. */
  longestGapMs = 0;
  private lastMs = 0;
  private stopped = false;
  private readonly running: Promise<void>[] = [];

  constructor(
    private readonly table: string,
    private readonly clients: readonly FlotillaClient[],
    private readonly writers: number,
    /** Goes on from what another one has written. */
    before?: Workload,
  ) {
    this.keys = before?.keys ?? new Map<string, Written>();
  }

  start(): void {
    this.lastMs = performance.now();
    for (let writer = 0; writer < this.writers; writer++) {
      const client = this.clients[writer % this.clients.length];
      if (client) this.running.push(this.write(client, writer));
    }
  }

  /** Reads keys as long as writers write; an answer that cannot be right is a failure. */
  startReader(client: FlotillaClient): void {
    this.running.push(this.readOn(client));
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.running);
  }

  /** Settles once so many more writes were acknowledged. */
  async more(count: number, timeoutMs = 150_000): Promise<void> {
    const goal = this.acknowledged + count;
    const untilMs = Date.now() + timeoutMs;
    while (this.acknowledged < goal) {
      if (Date.now() > untilMs) throw new Error(`only ${this.acknowledged} of ${goal} writes`);
      await sleep(20);
    }
  }

  /** What is wrong with what a client sees; empty when everything is there. */
  async verify(client: FlotillaClient, linearizable = true): Promise<string[]> {
    const found = new Map<string, number>();
    const everything = { table: this.table, key: '\0', rangeEnd: '\0', linearizable };
    for await (const { kvs } of client.iterateRange(everything)) {
      for (const { key, value } of kvs) found.set(key.toString(), Number(value.toString()));
    }
    const wrong: string[] = [];
    for (const [key, { acknowledged, tried }] of this.keys) {
      const value = found.get(key) ?? 0;
      if (value < acknowledged)
        wrong.push(`${key}: ${acknowledged} was acknowledged, not ${value}`);
      if (value > tried) wrong.push(`${key}: ${value} was never written`);
    }
    for (const key of found.keys()) if (!this.keys.has(key)) wrong.push(`${key}: nobody wrote it`);
    return wrong;
  }

  private async readOn(client: FlotillaClient): Promise<void> {
    for (let count = 0; !this.stopped; count++) {
      const keys = [...this.keys.keys()];
      const key = keys[count % Math.max(1, keys.length)];
      if (key !== undefined) await this.read(client, key);
      await sleep(PAUSE_MS);
    }
  }

  private async read(client: FlotillaClient, key: string): Promise<void> {
    const before = this.keys.get(key)?.acknowledged ?? 0;
    try {
      const { kvs } = await client.range({ table: this.table, key, linearizable: true });
      const value = Number(kvs[0]?.value.toString() ?? 0);
      const tried = this.keys.get(key)?.tried ?? 0;
      if (value < before) this.failures.push(`${key}: read ${value} after ${before}`);
      if (value > tried) this.failures.push(`${key}: read ${value}, which nobody wrote`);
      this.reads++;
    } catch (error) {
      if (!isRetryable(error)) this.failures.push(`read of ${key}: ${String(error)}`);
    }
  }

  private async write(client: FlotillaClient, writer: number): Promise<void> {
    for (let count = 0; !this.stopped; count++) {
      const key = `w${writer}/${count % KEYS_PER_WRITER}`;
      const state = this.keys.get(key) ?? { acknowledged: 0, tried: 0, revision: 0 };
      this.keys.set(key, state);
      state.tried++;
      await this.put(client, key, state);
    }
  }

  private async put(client: FlotillaClient, key: string, state: Written): Promise<void> {
    const value = String(state.tried);
    while (!this.stopped) {
      try {
        const { header } = await client.put({ table: this.table, key, value });
        if (header.revision <= state.revision) {
          this.failures.push(`${key}: revision ${header.revision} after ${state.revision}`);
        }
        state.revision = header.revision;
        state.acknowledged = state.tried;
        this.count();
        return;
      } catch (error) {
        if (!isRetryable(error)) {
          this.failures.push(error instanceof Error ? error.message : String(error));
          // A client that fails at once must not keep everything else from running.
          await sleep(PAUSE_MS);
          return;
        }
        this.retried++;
        await sleep(PAUSE_MS);
      }
    }
  }

  private count(): void {
    const nowMs = performance.now();
    this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.lastMs);
    this.lastMs = nowMs;
    this.acknowledged++;
  }
}

function isRetryable(error: unknown): boolean {
  return error instanceof ClientError && RETRYABLE.has(error.code);
}
