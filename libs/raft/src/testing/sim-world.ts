/**
 * A clock and a queue: everything that happens in a simulated deployment, one event after another.
 *
 *   at(delay, task) --> queue ordered by time, then by when it was asked for --> step() --> task()
 *
 * Between two events all promises come to rest, so the order of everything follows from the queue
 * alone. No real time passes on purpose, and nothing here draws: the same events give the same run.
 */

/** Ends an event that has not happened yet; idempotent. */
export type CancelEvent = () => void;

interface SimEvent {
  readonly atMs: number;
  readonly order: number;
  task: (() => void) | undefined;
}

export class SimWorld {
  private readonly queue: SimEvent[] = [];
  private lastOrder = 0;
  private now = 0;
  private stepCount = 0;
  private looks = new Map<object, () => void>();

  /** Simulated milliseconds since the beginning. */
  get nowMs(): number {
    return this.now;
  }

  /** Events that have happened. */
  get steps(): number {
    return this.stepCount;
  }

  /** Has `task` happen `delayMs` from now; 0 is after everything that is due already. */
  at(delayMs: number, task: () => void): CancelEvent {
    const event: SimEvent = {
      atMs: this.now + Math.max(0, delayMs),
      order: ++this.lastOrder,
      task,
    };
    this.push(event);
    return () => {
      event.task = undefined;
    };
  }

  /** Has `look` happen once this event and all that follows from it is over; once for each `who`. */
  afterStep(who: object, look: () => void): void {
    this.looks.set(who, look);
  }

  /** The next event, and all that follows from it at once. False when nothing is left to happen. */
  async step(): Promise<boolean> {
    for (;;) {
      const event = this.pop();
      if (!event) return false;
      if (!event.task) continue;
      this.now = event.atMs;
      this.stepCount++;
      event.task();
      // A turn of the real loop comes after every promise that can settle has settled.
      await new Promise(setImmediate);
      if (this.looks.size > 0) this.look();
      return true;
    }
  }

  private look(): void {
    const { looks } = this;
    this.looks = new Map();
    for (const look of looks.values()) look();
  }

  private push(event: SimEvent): void {
    const { queue } = this;
    let at = queue.length;
    queue.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = queue[parent];
      if (!above || isBefore(above, event)) break;
      queue[at] = above;
      at = parent;
    }
    queue[at] = event;
  }

  private pop(): SimEvent | undefined {
    const { queue } = this;
    const first = queue[0];
    const last = queue.pop();
    if (!first || !last || first === last) return first;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const [a, b] = [queue[left], queue[left + 1]];
      if (!a) break;
      const [child, least] = b && isBefore(b, a) ? [left + 1, b] : [left, a];
      if (isBefore(last, least)) break;
      queue[at] = least;
      at = child;
    }
    queue[at] = last;
    return first;
  }
}

function isBefore(a: SimEvent, b: SimEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
