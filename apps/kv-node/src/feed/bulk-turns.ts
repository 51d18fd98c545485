/**
 * Turns of those who read whole tables: one at a time over all of them, and a rest behind each.
 *
 * In: work that reads for a slice of time, and sends what is a chunk by then. Out: its result, when its turn has come.
 * Whoever reads a key meanwhile waits for one slice at most, and the processor is free for others in between. Turns are taken in
 * the order in which they were asked for; work must end by itself, without waiting for a reader.
 */
import { type NodeClock } from '../node/node-clock.js';
import { BULK_REST_MS } from './feed-limits.js';

export class BulkTurns {
  private last: Promise<void> = Promise.resolve();

  constructor(private readonly clock: Pick<NodeClock, 'after'>) {}

  async run<T>(work: () => Promise<T>): Promise<T> {
    const before = this.last;
    let end!: () => void;
    this.last = new Promise((resolve) => (end = resolve));
    await before;
    try {
      return await work();
    } finally {
      this.clock.after(BULK_REST_MS, end);
    }
  }
}
