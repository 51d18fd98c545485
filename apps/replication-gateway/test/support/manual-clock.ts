/**
 * A clock that stands until a test moves it: whoever sleeps wakes up in the order of time.
 */
import { type GatewayClock } from '../../src/gateway-clock.js';

interface Sleeper {
  readonly untilMs: number;
  readonly wake: () => void;
}

/** Turns of the loop after which everything that can go on without time has gone on. */
const SETTLE_TURNS = 20;

export class ManualClock implements GatewayClock {
  private now = 1_000_000;
  private readonly sleepers = new Set<Sleeper>();

  nowMs(): number {
    return this.now;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.now;
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        this.sleepers.delete(sleeper);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const sleeper = { untilMs: this.now + delayMs, wake };
      this.sleepers.add(sleeper);
      signal?.addEventListener('abort', wake, { once: true });
    });
  }

  turn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  /** Lets everybody go on who does not wait for time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < SETTLE_TURNS; turn++) await this.turn();
  }

  async advance(ms: number): Promise<void> {
    const endMs = this.now + ms;
    await this.settle();
    for (;;) {
      const due = [...this.sleepers].sort((a, b) => a.untilMs - b.untilMs)[0];
      if (!due || due.untilMs > endMs) break;
      this.now = Math.max(this.now, due.untilMs);
      due.wake();
      await this.settle();
    }
    this.now = endMs;
  }
}
