/**
 * Where a search stands, and the memory of where it has been.
 *
 * A configuration is the set of operations put in order so far, and the state after them. The set is
 * kept short: operations are numbered by their return, all below `front` are in it, and of the
 * others at most as many as ran at once (`ahead`). Operations of unknown outcome are apart, because
 * they need not be in it: what can be completed with some of them used up can be completed with
 * fewer, the rest having never happened. The memory must never forget, nor take two configurations
 * for one because their hashes agree: either would make a verdict wrong or a search endless.
 */
import { type Model } from './operation.js';

export interface Configuration<S> {
  /** The least number of an operation that is not in the set. */
  readonly front: number;
  /** Numbers above `front` that are in the set, rising. */
  readonly ahead: readonly number[];
  /** Numbers of the operations of unknown outcome that are in the set, rising. */
  readonly used: readonly number[];
  readonly state: S;
}

/** The configuration after an operation that returned. */
export function withReturned<S>(from: Configuration<S>, id: number, state: S): Configuration<S> {
  if (id !== from.front) return { ...from, ahead: inserted(from.ahead, id), state };
  let front = id + 1;
  let reached = 0;
  while (from.ahead[reached] === front) {
    front += 1;
    reached += 1;
  }
  return { front, ahead: from.ahead.slice(reached), used: from.used, state };
}

/** The configuration after an operation of unknown outcome that did happen. */
export function withUnknown<S>(from: Configuration<S>, id: number, state: S): Configuration<S> {
  return { ...from, used: inserted(from.used, id), state };
}

function inserted(rising: readonly number[], id: number): number[] {
  let at = rising.length;
  while (at > 0 && (rising[at - 1] ?? 0) > id) at -= 1;
  return [...rising.slice(0, at), id, ...rising.slice(at)];
}

export class Visited<S> {
  /** How many configurations are remembered. */
  size = 0;
  private readonly buckets = new Map<number, Configuration<S>[]>();

  constructor(private readonly model: Model<S, never, never>) {}

  /** Remembers a configuration; false if it, or one that can do all it can do, was there before. */
  add(configuration: Configuration<S>): boolean {
    const hash = this.hashOf(configuration);
    const bucket = this.buckets.get(hash);
    if (bucket === undefined) {
      this.buckets.set(hash, [configuration]);
    } else {
      if (bucket.some((former) => this.covers(former, configuration))) return false;
      bucket.push(configuration);
    }
    this.size += 1;
    return true;
  }

  private covers(former: Configuration<S>, one: Configuration<S>): boolean {
    return (
      former.front === one.front &&
      sameNumbers(former.ahead, one.ahead) &&
      isSubset(former.used, one.used) &&
      this.sameState(former.state, one.state)
    );
  }

  private sameState(one: S, other: S): boolean {
    return this.model.same === undefined ? Object.is(one, other) : this.model.same(one, other);
  }

  private hashOf({ front, ahead, state }: Configuration<S>): number {
    let hash = mix(0x811c9dc5, front);
    for (const id of ahead) hash = mix(hash, id);
    const own = this.model.hash?.(state) ?? 0;
    if (typeof own === 'number') return mix(hash, own);
    for (let at = 0; at < own.length; at += 1) hash = mix(hash, own.charCodeAt(at));
    return hash;
  }
}

function mix(hash: number, value: number): number {
  const mixed = Math.imul(hash ^ value, 0x01000193);
  return mixed ^ (mixed >>> 15);
}

function sameNumbers(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((id, at) => id === other[at]);
}

/** Both rising. */
function isSubset(part: readonly number[], whole: readonly number[]): boolean {
  let at = 0;
  for (const id of part) {
    while (at < whole.length && (whole[at] ?? 0) < id) at += 1;
    if (whole[at] !== id) return false;
    at += 1;
  }
  return true;
}
