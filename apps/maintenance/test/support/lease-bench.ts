/**
 * Leases without nodes: a clock whose hands a test turns, and one lease as a catalog would keep it.
 *
 * In: what apps ask. Out: answers, failures and silence, as a test wants them.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type MaintenanceClock } from '../../src/maintenance-clock.js';
import { type LeaseAnswer, type Leases, type LeaseWish } from '../../src/runner/node-leases.js';

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

export class TurnedClock implements MaintenanceClock {
  private timeMs = 1_000;
  private sleepers: Sleeper[] = [];

  nowMs(): number {
    return this.timeMs;
  }

  wallMs(): number {
    return Date.UTC(2026, 0, 1) + this.timeMs;
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const wake = () => {
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.sleepers.push({ atMs: this.timeMs + delayMs, wake });
      signal?.addEventListener('abort', wake);
    });
  }

  /** Wakes whoever's time has come, one after the other. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.timeMs + byMs;
    await settled();
    for (;;) {
      const [next] = this.sleepers.filter(({ atMs }) => atMs <= untilMs).sort(byTime);
      if (!next) break;
      this.timeMs = Math.max(this.timeMs, next.atMs);
      this.sleepers = this.sleepers.filter((each) => each !== next);
      next.wake();
      await settled();
    }
    this.timeMs = untilMs;
  }

  /** As for a process that was stopped: time goes on, and nothing is woken. */
  pass(ms: number): void {
    this.timeMs += ms;
  }
}

const byTime = (a: Sleeper, b: Sleeper) => a.atMs - b.atMs;

async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** One purpose of the catalog. */
export class OneLease implements Leases {
  holder = '';
  token = 0;
  untilMs = 0;
  isServed = true;
  isReached = true;
  /** Of those who ask, whose answers are lost. */
  readonly unheard = new Set<string>();
  asked = 0;

  constructor(private readonly clock: TurnedClock) {}

  async acquire({ holder, ttlMs, token }: LeaseWish): Promise<LeaseAnswer> {
    this.asked++;
    if (!this.isReached) throw new GrpcStatusError(status.UNAVAILABLE, 'no node');
    if (!this.isServed) return { kind: 'unserved' };
    const isFree = this.clock.nowMs() >= this.untilMs;
    const isTheirs = !isFree && holder === this.holder && token === this.token;
    if (isFree && token === 0) this.token++;
    const acquired = isTheirs || (isFree && token === 0);
    if (acquired) {
      this.holder = holder;
      this.untilMs = this.clock.nowMs() + ttlMs;
    }
    if (this.unheard.has(holder)) throw new GrpcStatusError(status.DEADLINE_EXCEEDED, 'lost');
    const remainingMs = Math.max(0, this.untilMs - this.clock.nowMs());
    return { kind: 'told', acquired, holder: this.holder, token: this.token, remainingMs };
  }

  async release({ holder, token }: Omit<LeaseWish, 'ttlMs'>): Promise<void> {
    if (holder === this.holder && token === this.token) this.untilMs = 0;
  }
}
