/**
 * Rows of ranges that are asked for often, packed as they stand in answers, for all tables of a node.
 *
 * In: runs as they are read, and the keys that change. Out: the run that a key lies in. Whoever writes a
 * table tells its part of the cache in the same tick, so what is found here is what the engine holds.
 * Bounded in bytes. What has to go is found in the order of S3-FIFO (Yang et al., 2023), by which one
 * pass over everything costs newcomers alone:
 *
 *   new --> newcomers --(asked for again)--> proven --(asked for since)--> proven once more
 *                 \--> gone                     \--> gone
 */
import { type Version } from '../table/row-codec.js';
import { commonBytes, compareKeys, type Run } from './run.js';

/** Default bound of all that the cache holds. */
export const RANGE_CACHE_BYTES_DEFAULT = 32 * 1024 * 1024;
/** What one process may have in buffers is not far above it. */
export const RANGE_CACHE_BYTES_MAX = 2 ** 32;
/** Bound of a run's rows, where the size of the cache allows it; neighbours join up to it. */
const RUN_BYTES_MAX = 64 * 1024;
const RUN_BYTES_MIN = 256;
/** Largest part of the cache for one run. */
const RUN_SHARE = 1 / 16;
/** A run that grew to so many times its bound is given up. */
const OVERSIZE = 2;
/** Largest part of the cache that one read may fill. */
const READ_SHARE = 1 / 8;
/** Newcomers may take this part of the bytes before proven runs have to go. */
const NEWCOMERS_SHARE = 1 / 4;
/** As often a run was asked for since, it stays when its turn to go comes. */
const USES_MAX = 3;

export interface RangeCacheStats {
  /** Runs found in memory. */
  readonly hits: number;
  /** Runs read from the engine. */
  readonly misses: number;
  /** Runs that had to go to make room. */
  readonly evictions: number;
  readonly entries: number;
  /** Memory in use. */
  readonly bytes: number;
}

export interface RangeCacheOptions {
  readonly bytesMax?: number;
}

/** The part of the cache that belongs to one table: runs that do not overlap, in order. */
export class TableRuns {
  private runs: Run[] = [];

  constructor(private readonly cache: RangeCache) {}

  get isEmpty(): boolean {
    return this.runs.length === 0;
  }

  /** Rows of one read of the engine should not take more. */
  get runBytesMax(): number {
    return this.cache.runBytesMax;
  }

  /** Memory that one read may fill. */
  get readBytesMax(): number {
    return this.cache.readBytesMax;
  }

  /** The run that holds what there is of a key, as it is now. `get` tells what is stored of a key. */
  find(key: Uint8Array, get: (key: Buffer) => Version | undefined): Run | undefined {
    const at = this.lastUpTo(key);
    const run = this.runs[at];
    const found = run && !run.isBelow(key) ? this.current(run, at, get) : undefined;
    this.cache.looked(found !== undefined);
    return found;
  }

  /**
   * Rows of a run are asked for, from one position up to and without another. Who reads on from page to
   * page finds some that were read ahead, and has not asked for them before.
   */
  used(run: Run, from: number, until: number): void {
    if (from < run.seen) this.cache.used(run);
    run.seen = Math.max(run.seen, until);
  }

  /** Where the first run above a key begins. */
  nextLow(key: Uint8Array): Buffer | undefined {
    return this.runs[this.lastUpTo(key) + 1]?.low;
  }

  /** Keeps a run that shows what the engine holds now, and begins where no run is. */
  store(run: Run): void {
    if (run.memoryBytes > this.runBytesMax * OVERSIZE) return;
    // Of no key at all, where a view ended with the row it gave last: a run is found by where it begins.
    if (run.isBelow(run.low)) return;
    const at = this.lastUpTo(run.low) + 1;
    const after = this.runs[at];
    // Another read may have stored what lies ahead since this one began.
    if (after && (run.high === undefined || compareKeys(after.low, run.high) < 0)) return;
    this.runs.splice(at, 0, run);
    this.cache.insert(this, run);
    this.join(at);
    if (at > 0) this.join(at - 1);
    this.cache.makeRoom();
  }

  /** What is stored of a key is not what it was. */
  changed(key: Uint8Array): void {
    if (this.runs.length === 0) return;
    const at = this.lastUpTo(key);
    const run = this.runs[at];
    if (run === undefined || run.isBelow(key) || run.noteChange(key)) return;
    this.runs.splice(at, 1);
    this.cache.forget(run);
  }

  /** Forgets every run of the table. */
  clear(): void {
    for (const run of this.runs) this.cache.forget(run);
    this.runs = [];
  }

  /** The cache gave a run up. */
  remove(run: Run): void {
    const at = this.lastUpTo(run.low);
    if (this.runs[at] !== run) throw new Error('a run of a cache is not where it belongs');
    this.runs.splice(at, 1);
  }

  private current(
    run: Run,
    at: number,
    get: (key: Buffer) => Version | undefined,
  ): Run | undefined {
    if (!run.isChanged) return run;
    const changed = run.changed(get);
    if (changed.memoryBytes > this.runBytesMax * OVERSIZE) {
      this.runs.splice(at, 1);
      this.cache.forget(run);
      return undefined;
    }
    this.runs[at] = changed;
    this.cache.replace(this, [run], changed);
    this.cache.makeRoom();
    return changed;
  }

  /** Makes one of a run and the next one, if they touch and are small enough. */
  private join(at: number): void {
    const [one, next] = [this.runs[at], this.runs[at + 1]];
    if (!one?.high || !next || one.isChanged || next.isChanged) return;
    if (one.rowsBytes + next.rowsBytes > this.runBytesMax) return;
    if (compareKeys(one.high, next.low) !== 0) return;
    const joined = one.joinedWith(next);
    this.runs.splice(at, 2, joined);
    this.cache.replace(this, [one, next], joined);
  }

  /** The last run that begins at or below a key; -1 if there is none. */
  private lastUpTo(key: Uint8Array): number {
    let low = 0;
    let high = this.runs.length;
    // Keys between two others begin with what these have in common.
    let [sameAsLow, sameAsHigh] = [0, 0];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const begin = this.runs[middle]?.low;
      if (begin === undefined) break;
      const same = commonBytes(begin, key, Math.min(sameAsLow, sameAsHigh));
      // Whichever ends there is the lower one.
      if ((begin[same] ?? -1) > (key[same] ?? -1)) {
        high = middle;
        sameAsHigh = same;
      } else {
        low = middle + 1;
        sameAsLow = same;
      }
    }
    return low - 1;
  }
}

export class RangeCache {
  readonly runBytesMax: number;
  readonly readBytesMax: number;
  private readonly bytesMax: number;
  /** Both in the order in which it is their turn to go. */
  private readonly newcomers = new Map<Run, TableRuns>();
  private readonly proven = new Map<Run, TableRuns>();
  private newcomersBytes = 0;
  private bytes = 0;
  private hits = 0;
  private misses = 0;
  private evictions = 0;

  constructor({ bytesMax = RANGE_CACHE_BYTES_DEFAULT }: RangeCacheOptions = {}) {
    if (bytesMax > RANGE_CACHE_BYTES_MAX) {
      throw new RangeError(`a cache of ${bytesMax} bytes is not possible`);
    }
    this.bytesMax = bytesMax;
    const share = Math.floor(bytesMax * RUN_SHARE);
    this.runBytesMax = Math.min(Math.max(share, RUN_BYTES_MIN), RUN_BYTES_MAX);
    this.readBytesMax = bytesMax * READ_SHARE;
  }

  table(): TableRuns {
    return new TableRuns(this);
  }

  stats(): RangeCacheStats {
    const { hits, misses, evictions, bytes } = this;
    return { hits, misses, evictions, entries: this.newcomers.size + this.proven.size, bytes };
  }

  looked(isHit: boolean): void {
    if (isHit) this.hits++;
    else this.misses++;
  }

  used(run: Run): void {
    if (run.uses < USES_MAX) run.uses++;
  }

  /** Whoever adds something makes room once all is in its place. */
  insert(owner: TableRuns, run: Run): void {
    (run.isProven ? this.proven : this.newcomers).set(run, owner);
    this.bytes += run.bytes;
    if (!run.isProven) this.newcomersBytes += run.bytes;
  }

  /** One run instead of those that it was made of. */
  replace(owner: TableRuns, before: readonly Run[], run: Run): void {
    for (const each of before) {
      run.uses = Math.max(run.uses, each.uses);
      run.isProven ||= each.isProven;
      this.forget(each);
    }
    this.insert(owner, run);
  }

  /** Its table has it no more. */
  forget(run: Run): void {
    const isGone = run.isProven ? this.proven.delete(run) : this.newcomers.delete(run);
    if (!isGone) return;
    this.bytes -= run.bytes;
    if (!run.isProven) this.newcomersBytes -= run.bytes;
  }

  makeRoom(): void {
    while (this.bytes > this.bytesMax) {
      const isCrowded = this.newcomersBytes > this.bytesMax * NEWCOMERS_SHARE;
      const queue = isCrowded || this.proven.size === 0 ? this.newcomers : this.proven;
      const [first] = queue;
      if (first === undefined) return;
      const [run, owner] = first;
      this.forget(run);
      if (run.uses > 0) {
        run.uses = run.isProven ? run.uses - 1 : 0;
        run.isProven = true;
        this.insert(owner, run);
      } else {
        this.evictions++;
        owner.remove(run);
      }
    }
  }
}
