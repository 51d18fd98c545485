/**
 * Two bounds that many tables share: how many may do something at the same time, and how many bytes they may
 * hold together.
 *
 * In: wishes. Out: turns, in the order in which they were wished for; room, once there is some. Whoever waits
 * and is called off gets nothing and holds up nobody.
 */

export class Turns {
  private taken = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly max: number) {}

  get open(): number {
    return this.taken;
  }

  /** Settles when it is the caller's turn, which is then ended by `give`. Rejects when called off. */
  async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.taken < this.max) {
      this.taken++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const called = (): void => {
        signal.removeEventListener('abort', off);
        resolve();
      };
      const off = (): void => {
        const at = this.waiting.indexOf(called);
        if (at >= 0) this.waiting.splice(at, 1);
        reject(signal.reason as Error);
      };
      this.waiting.push(called);
      signal.addEventListener('abort', off, { once: true });
    });
  }

  give(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.taken--;
  }

  async during<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.take(signal);
    try {
      return await work();
    } finally {
      this.give();
    }
  }
}

export class HeldBytes {
  private held = 0;
  private waiting = new Set<() => void>();

  constructor(private readonly max: number) {}

  get bytes(): number {
    return this.held;
  }

  get isFull(): boolean {
    return this.held >= this.max;
  }

  add(bytes: number): void {
    this.held += bytes;
  }

  release(bytes: number): void {
    this.held -= bytes;
    if (this.isFull) return;
    const told = this.waiting;
    this.waiting = new Set();
    for (const tell of told) tell();
  }

  /** Settles when there is room, or when called off. */
  async room(signal: AbortSignal): Promise<void> {
    while (this.isFull && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const tell = (): void => {
          signal.removeEventListener('abort', tell);
          this.waiting.delete(tell);
          resolve();
        };
        this.waiting.add(tell);
        signal.addEventListener('abort', tell, { once: true });
      });
    }
  }
}
