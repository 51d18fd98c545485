/**
 * Wakes the one who waits for something to do.
 *
 * In: `raise`, whenever there may be something; a signal, whose end is something too. Out: `wait` settles, at
 * once if it was raised since the last time. Raising runs nobody's code.
 */
export class WakeUp {
  private isRaised = false;
  private tell: (() => void) | undefined;

  constructor(private readonly signal: AbortSignal) {
    signal.addEventListener('abort', () => this.raise(), { once: true });
  }

  raise(): void {
    this.isRaised = true;
    this.tell?.();
  }

  /** Never rejects. For one at a time. */
  async wait(): Promise<void> {
    if (!this.isRaised && !this.signal.aborted) {
      await new Promise<void>((resolve) => (this.tell = resolve));
      this.tell = undefined;
    }
    this.isRaised = false;
  }
}
