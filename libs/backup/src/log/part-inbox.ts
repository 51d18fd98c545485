/**
 * A stream of parts of a log, and a clock, waited for together.
 *
 * In: the stream, moments. Out: what came first: a part, the end, the moment, a call. One part is asked for at
 * a time: while nobody waits, nothing more is read. `close` ends the stream and is waited for.
 */
import { type BackupClock } from '../clock.js';
import { type LogPart } from '../ports.js';

export type Arrival =
  | { readonly kind: 'part'; readonly part: LogPart }
  | { readonly kind: 'end' }
  | { readonly kind: 'failed'; readonly error: unknown };

export class PartInbox {
  private readonly parts: AsyncIterator<LogPart>;
  private arrived: Arrival | undefined;
  private isAsked = false;
  private tell: () => void = () => undefined;

  constructor(
    parts: AsyncIterable<LogPart>,
    private readonly ending: AbortController,
    private readonly clock: Pick<BackupClock, 'sleep'>,
  ) {
    this.parts = parts[Symbol.asyncIterator]();
  }

  /** What came, or undefined after so long, or when called. */
  async wait(delayMs: number | undefined): Promise<Arrival | undefined> {
    this.ask();
    if (!this.arrived) {
      const timer = new AbortController();
      await new Promise<void>((resolve) => {
        this.tell = resolve;
        if (delayMs !== undefined) void this.clock.sleep(delayMs, timer.signal).then(resolve);
      });
      timer.abort();
    }
    const { arrived } = this;
    if (arrived?.kind === 'part') this.arrived = undefined;
    return arrived;
  }

  /** Whoever waits is to look again. */
  call(): void {
    this.tell();
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.ending.abort();
    // It ends because it was told to; what it says of that is of no interest.
    await this.parts.return?.().catch(() => undefined);
  }

  private ask(): void {
    if (this.isAsked || this.arrived) return;
    this.isAsked = true;
    this.parts.next().then(
      ({ done, value }) =>
        this.put(done === true ? { kind: 'end' } : { kind: 'part', part: value }),
      (error: unknown) => this.put({ kind: 'failed', error }),
    );
  }

  private put(arrival: Arrival): void {
    this.isAsked = false;
    this.arrived = arrival;
    this.tell();
  }
}
