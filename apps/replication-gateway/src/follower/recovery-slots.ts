/**
 * Places for recoveries: no more than so many at a time, the others wait in the order they came.
 *
 * In: a wish, and a signal that takes it back. Out: a function that gives the place to the next
 * one.
 */
export class RecoverySlots {
  private free: number;
  private readonly waiting: (() => void)[] = [];

  constructor(count: number) {
    this.free = count;
  }

  /** Undefined once the signal is aborted. What is returned may be called twice. */
  async take(signal: AbortSignal): Promise<(() => void) | undefined> {
    if (signal.aborted) return undefined;
    if (this.free > 0) this.free--;
    else if (!(await this.turn(signal))) return undefined;
    let isGiven = false;
    return () => {
      if (isGiven) return;
      isGiven = true;
      const next = this.waiting.shift();
      if (next) next();
      else this.free++;
    };
  }

  private turn(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const called = () => {
        signal.removeEventListener('abort', aborted);
        resolve(true);
      };
      const aborted = () => {
        const at = this.waiting.indexOf(called);
        if (at >= 0) this.waiting.splice(at, 1);
        resolve(false);
      };
      this.waiting.push(called);
      signal.addEventListener('abort', aborted, { once: true });
    });
  }
}
