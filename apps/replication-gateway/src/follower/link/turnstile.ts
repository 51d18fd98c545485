/** Lets everybody through who waits, each time it turns. */
import { type GatewayClock } from '../../gateway-clock.js';

export class Turnstile {
  private readonly waiting = new Set<() => void>();

  constructor(private readonly clock: Pick<GatewayClock, 'sleep'>) {}

  turn(): void {
    for (const through of [...this.waiting]) through();
  }

  /** Settles at the next turn, when the signal is aborted, or after the time given. */
  next(signal: AbortSignal, timeoutMs?: number): Promise<void> {
    return new Promise((resolve) => {
      const done = new AbortController();
      const through = () => {
        this.waiting.delete(through);
        signal.removeEventListener('abort', through);
        done.abort();
        resolve();
      };
      this.waiting.add(through);
      signal.addEventListener('abort', through, { once: true });
      if (signal.aborted) return through();
      if (timeoutMs !== undefined) void this.clock.sleep(timeoutMs, done.signal).then(through);
    });
  }
}
