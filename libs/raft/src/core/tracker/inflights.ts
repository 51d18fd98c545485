/**
 * The window of append messages to one follower that were sent and not acknowledged yet.
 *
 * In: the last index and the payload bytes of each message, ascending. Out: whether the window is
 * full, in messages or in bytes. A ring that grows up to its size, so that ten thousand idle groups
 * cost nothing.
 */
import { RaftInvariantError } from '../errors.js';
import type { LogIndex } from '../types.js';

const FIRST_CAPACITY = 8;

export class Inflights {
  private start = 0;
  private used = 0;
  private bytesUsed = 0;
  private indexes: LogIndex[] = [];
  private sizes: number[] = [];

  /** `bytesMax` 0: no limit on bytes. */
  constructor(
    private readonly messagesMax: number,
    private readonly bytesMax: number,
  ) {}

  /** A message whose last entry is `index` was sent. Throws RaftInvariantError if there is no room. */
  add(index: LogIndex, bytes: number): void {
    if (this.full()) throw new RaftInvariantError('an append was sent into a full window');
    if (this.used === this.indexes.length) this.grow();
    const at = (this.start + this.used) % this.indexes.length;
    this.indexes[at] = index;
    this.sizes[at] = bytes;
    this.used++;
    this.bytesUsed += bytes;
  }

  /** Everything up to and including `index` was acknowledged. */
  freeLE(index: LogIndex): void {
    while (this.used > 0) {
      const first = this.indexes[this.start] ?? 0;
      if (first > index) return;
      this.bytesUsed -= this.sizes[this.start] ?? 0;
      this.start = (this.start + 1) % this.indexes.length;
      this.used--;
    }
    this.start = 0;
  }

  full(): boolean {
    return (
      this.used >= this.messagesMax || (this.bytesMax !== 0 && this.bytesUsed >= this.bytesMax)
    );
  }

  count(): number {
    return this.used;
  }

  reset(): void {
    this.start = 0;
    this.used = 0;
    this.bytesUsed = 0;
  }

  clone(): Inflights {
    const copy = new Inflights(this.messagesMax, this.bytesMax);
    copy.start = this.start;
    copy.used = this.used;
    copy.bytesUsed = this.bytesUsed;
    copy.indexes = [...this.indexes];
    copy.sizes = [...this.sizes];
    return copy;
  }

  private grow(): void {
    const capacity = Math.min(Math.max(this.indexes.length * 2, FIRST_CAPACITY), this.messagesMax);
    const order = Array.from({ length: this.used }, (_, at) => (this.start + at) % this.used);
    const indexes = order.map((at) => this.indexes[at] ?? 0);
    const sizes = order.map((at) => this.sizes[at] ?? 0);
    while (indexes.length < capacity) {
      indexes.push(0);
      sizes.push(0);
    }
    this.indexes = indexes;
    this.sizes = sizes;
    this.start = 0;
  }
}
