/**
 * The deadlines of all calls of a client, under one timer.
 *
 * In: moments, by the clock that never jumps. Out: `expire`, up to a step later, never before.
 *
 *     add -> bucket of its step --timer of the earliest--> expire
 *
 * Must never keep the process alive, nor hold a call that has ended.
 */

/** What has a deadline. `bucket` is for this class alone. */
export interface Expiring {
  bucket: number | undefined;
  expire(): void;
}

/** Calls that expire within the same step do so together. */
const STEP_MS = 4;
const TIMER_MS_MAX = 2 ** 31 - 1;

export class Deadlines {
  private readonly buckets = new Map<number, Set<Expiring>>();
  private timer: NodeJS.Timeout | undefined;
  private armedFor = Infinity;

  /** Calls that have a deadline now. */
  get size(): number {
    let size = 0;
    for (const bucket of this.buckets.values()) size += bucket.size;
    return size;
  }

  add(item: Expiring, atMs: number): void {
    const number = Math.ceil(atMs / STEP_MS);
    const bucket = this.buckets.get(number);
    if (bucket) bucket.add(item);
    else this.buckets.set(number, new Set([item]));
    item.bucket = number;
    if (number < this.armedFor) this.arm(number);
  }

  remove(item: Expiring): void {
    if (item.bucket === undefined) return;
    const bucket = this.buckets.get(item.bucket);
    bucket?.delete(item);
    if (bucket?.size === 0) this.buckets.delete(item.bucket);
    item.bucket = undefined;
  }

  /** Nothing expires any more. */
  clear(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.armedFor = Infinity;
    this.buckets.clear();
  }

  private arm(number: number): void {
    clearTimeout(this.timer);
    this.armedFor = number;
    const waitMs = Math.max(1, Math.ceil(number * STEP_MS - performance.now()));
    this.timer = setTimeout(this.onTimer, Math.min(waitMs, TIMER_MS_MAX)).unref();
  }

  private readonly onTimer = (): void => {
    this.timer = undefined;
    this.armedFor = Infinity;
    const dueUpTo = performance.now() / STEP_MS;
    let earliest = Infinity;
    for (const [number, bucket] of [...this.buckets]) {
      if (number > dueUpTo) {
        earliest = Math.min(earliest, number);
        continue;
      }
      this.buckets.delete(number);
      for (const item of bucket) {
        item.bucket = undefined;
        item.expire();
      }
    }
    if (earliest < this.armedFor) this.arm(earliest);
  };
}
