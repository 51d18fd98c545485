/**
 * A run: a stretch of a table's key space with all rows that lie in it, packed as they stand in answers.
 *
 *   memory   [where each row begins, and the last one ends][rows][low][high]
 *
 * In: rows of the engine or of other runs. Out: the bytes of any rows of it that follow one another. The
 * memory is never written again once the run is made: who holds a part of it may keep it, whatever
 * becomes of the run. What changed since is noted beside it, and makes a new run when it is read.
 */
import { type Version } from '../table/row-codec.js';
import {
  packedBytesMax,
  packedKeyBytes,
  packedKeyLength,
  packedKeyStart,
  packedVersionBytes,
  packKey,
  packStored,
  packVersion,
  storedKey,
} from '../table/packed-row.js';

const WORD_BYTES = 4;
/** Memory of a run's objects, and its share of the lists it stands in. */
const OVERHEAD_BYTES = 512;
/** Keys that changed, each behind its length; what does not fit there makes the run worthless. */
const CHANGES_BYTES = 1024;
const LENGTH_BYTES = 2;

export interface RunBounds {
  /** First key, inclusive. */
  readonly low: Uint8Array;
  /** End, exclusive; without one, all keys that follow. */
  readonly high: Uint8Array | undefined;
}

/** Where a run ends when it is known that nothing of it is left. */
export type RunEnd = Pick<RunBounds, 'high'>;

export class Run implements RunBounds {
  readonly low: Buffer;
  readonly high: Buffer | undefined;
  /** How many rows. */
  readonly count: number;
  /** How often it was asked for lately; kept by the cache. */
  uses = 0;
  isProven = false;
  /** So many of its rows, from the first one on, have been asked for. */
  seen = 0;
  private changes: Buffer | undefined;
  private changesBytes = 0;

  constructor(
    private readonly memory: Buffer,
    private readonly starts: Uint32Array,
    bounds: RunBounds,
    /** Its rows are keys alone. */
    readonly isOfKeys: boolean,
  ) {
    this.count = starts.length - 1;
    const lowStart = this.start(this.count);
    const highStart = lowStart + bounds.low.length;
    memory.set(bounds.low, lowStart);
    this.low = memory.subarray(lowStart, highStart);
    if (bounds.high !== undefined) {
      memory.set(bounds.high, highStart);
      this.high = memory.subarray(highStart, highStart + bounds.high.length);
    }
  }

  /** Bytes of the rows. */
  get rowsBytes(): number {
    return this.start(this.count) - this.start(0);
  }

  /** Rows, bounds, and where they are. */
  get memoryBytes(): number {
    return this.memory.length;
  }

  /** Memory it takes, all in all. */
  get bytes(): number {
    return this.memory.length + CHANGES_BYTES + OVERHEAD_BYTES;
  }

  isBelow(key: Uint8Array): boolean {
    return this.high !== undefined && compareKeys(this.high, key) <= 0;
  }

  /** The first row whose key is not below `key`. */
  indexOf(key: Uint8Array): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.compareAt(middle, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Rows from one position up to and without another. */
  slice(from: number, until: number): Buffer {
    return this.memory.subarray(this.start(from), this.start(until));
  }

  bytesOf(from: number, until: number): number {
    return this.start(until) - this.start(from);
  }

  /** Up to which row all together take less than so many bytes. */
  fitting(from: number, until: number, bytes: number): number {
    const end = this.start(from) + bytes;
    if (this.start(until) < end) return until;
    let low = from;
    let high = until;
    while (low + 1 < high) {
      const middle = (low + high) >>> 1;
      if (this.start(middle) < end) low = middle;
      else high = middle;
    }
    return low;
  }

  /** The same rows as keys alone. */
  withoutValues(from: number, until: number): Run {
    let bytes = 0;
    for (let row = from; row < until; row++) {
      bytes += packedKeyBytes(packedKeyLength(this.memory, this.start(row)));
    }
    const draft = new Draft(until - from, bytes, this);
    for (let row = from; row < until; row++) {
      const start = this.start(row);
      const keyStart = packedKeyStart(this.memory, start);
      const keyEnd = keyStart + packedKeyLength(this.memory, start);
      draft.end(packKey(draft.memory, draft.at, this.memory, keyStart, keyEnd));
    }
    return draft.run(true);
  }

  /** A key has changed since. False: there are too many of them, and the run is worth nothing. */
  noteChange(key: Uint8Array): boolean {
    this.changes ??= Buffer.allocUnsafeSlow(CHANGES_BYTES);
    const { changes } = this;
    for (let at = 0; at < this.changesBytes;) {
      const start = at + LENGTH_BYTES;
      at = start + lengthAt(changes, at);
      if (at - start === key.length && isSame(changes, start, key)) return true;
    }
    const end = this.changesBytes + LENGTH_BYTES + key.length;
    if (end > CHANGES_BYTES) return false;
    changes[this.changesBytes] = key.length & 0xff;
    changes[this.changesBytes + 1] = key.length >>> 8;
    changes.set(key, this.changesBytes + LENGTH_BYTES);
    this.changesBytes = end;
    return true;
  }

  get isChanged(): boolean {
    return this.changesBytes > 0;
  }

  /** The run as it is now. `get` tells of a key what is stored of it. */
  changed(get: (key: Buffer) => Version | undefined): Run {
    const changes = this.changedKeys().map((key) => {
      const row = this.indexOf(key);
      const isReplaced = row < this.count && this.compareAt(row, key) === 0;
      return { row, next: isReplaced ? row + 1 : row, version: get(key) };
    });
    let { count, rowsBytes: bytes } = this;
    for (const { row, next, version } of changes) {
      count += (version === undefined ? 0 : 1) - (next - row);
      bytes += (version === undefined ? 0 : packedVersionBytes(version)) - this.bytesOf(row, next);
    }
    const draft = new Draft(count, bytes, this);
    let from = 0;
    for (const { row, next, version } of changes) {
      draft.copy(this, from, row);
      if (version) draft.end(packVersion(draft.memory, draft.at, version));
      from = next;
    }
    draft.copy(this, from, this.count);
    const run = draft.run();
    run.seen = this.seen;
    return run;
  }

  /** Both as one; the other one begins where this one ends. */
  joinedWith(next: Run): Run {
    const bounds = { low: this.low, high: next.high };
    const bytes = this.rowsBytes + next.rowsBytes;
    const draft = new Draft(this.count + next.count, bytes, bounds);
    draft.copy(this, 0, this.count);
    draft.copy(next, 0, next.count);
    const run = draft.run();
    run.seen = this.seen < this.count ? this.seen : this.count + next.seen;
    return run;
  }

  start(row: number): number {
    return this.starts[row] ?? 0;
  }

  private compareAt(row: number, key: Uint8Array): number {
    const { memory } = this;
    const start = this.start(row);
    const keyStart = packedKeyStart(memory, start);
    return compareBytes(memory, keyStart, packedKeyLength(memory, start), key);
  }

  /** In order. */
  private changedKeys(): Buffer[] {
    const keys: Buffer[] = [];
    const { changes } = this;
    for (let at = 0; changes && at < this.changesBytes;) {
      const start = at + LENGTH_BYTES;
      at = start + lengthAt(changes, at);
      keys.push(changes.subarray(start, at));
    }
    return keys.sort((one, other) => Buffer.compare(one, other));
  }
}

/** A run in the making: its memory has room for so many rows and bytes, and for the bounds. */
class Draft {
  readonly memory: Buffer;
  /** Where the next row goes. */
  at: number;
  private row = 0;
  private readonly starts: Uint32Array;

  constructor(
    count: number,
    rowsBytes: number,
    private readonly bounds: RunBounds,
  ) {
    this.at = (count + 1) * WORD_BYTES;
    const boundsBytes = bounds.low.length + (bounds.high?.length ?? 0);
    // Memory of its own: a small run must not keep what lies beside it.
    this.memory = Buffer.allocUnsafeSlow(this.at + rowsBytes + boundsBytes);
    this.starts = new Uint32Array(this.memory.buffer, this.memory.byteOffset, count + 1);
    this.starts[0] = this.at;
  }

  /** The next row was written up to here. */
  end(at: number): void {
    this.at = at;
    this.starts[++this.row] = at;
  }

  copy(from: Run, start: number, until: number): void {
    if (start === until) return;
    const shift = this.at - from.start(start);
    this.memory.set(from.slice(start, until), this.at);
    for (let row = start; row < until; row++) this.end(from.start(row + 1) + shift);
  }

  run(isOfKeys = false): Run {
    if (this.row !== this.starts.length - 1) throw new Error('a run lacks rows');
    return new Run(this.memory, this.starts, this.bounds, isOfKeys);
  }
}

/**
 * A run of live rows as the engine gave them, from `low` on. Without `high` it ends behind its last row,
 * which must be there.
 */
export function runOfStored(
  stored: readonly Buffer[],
  low: Uint8Array,
  end: RunEnd | undefined,
): Run {
  let bytes = 0;
  for (const each of stored) bytes += packedBytesMax(each.length);
  const last = stored[stored.length - 1];
  const draft = new Draft(stored.length, bytes, {
    low,
    high: endOf(end, last && storedKey(last)),
  });
  for (const each of stored) draft.end(packStored(draft.memory, draft.at, each));
  return draft.run();
}

/** The same of keys alone. */
export function runOfKeys(keys: readonly Buffer[], low: Uint8Array, end: RunEnd | undefined): Run {
  let bytes = 0;
  for (const key of keys) bytes += packedKeyBytes(key.length);
  const draft = new Draft(keys.length, bytes, { low, high: endOf(end, keys[keys.length - 1]) });
  for (const key of keys) draft.end(packKey(draft.memory, draft.at, key, 0, key.length));
  return draft.run(true);
}

/** The end that is known, or behind the last key. */
export function endOf(
  end: RunEnd | undefined,
  lastKey: Buffer | undefined,
): Uint8Array | undefined {
  if (end !== undefined) return end.high;
  if (lastKey === undefined) throw new Error('a run without rows ends nowhere');
  return keyAfter(lastKey);
}

/** The key that follows a key directly. */
export function keyAfter(key: Uint8Array): Buffer {
  const next = Buffer.allocUnsafe(key.length + 1);
  next.set(key);
  next[key.length] = 0;
  return next;
}

/** Below 0, 0 or above: in the order of bytes. */
export function compareKeys(one: Uint8Array, other: Uint8Array): number {
  return compareBytes(one, 0, one.length, other);
}

/** How many bytes two keys begin with in common; so many are known to be. */
export function commonBytes(one: Uint8Array, other: Uint8Array, known: number): number {
  const length = Math.min(one.length, other.length);
  let at = known;
  while (at < length && one[at] === other[at]) at++;
  return at;
}

/** Keys are short: a loop is faster than a call into the engine. */
function compareBytes(bytes: Uint8Array, start: number, length: number, key: Uint8Array): number {
  const shorter = Math.min(length, key.length);
  for (let at = 0; at < shorter; at++) {
    const order = (bytes[start + at] ?? 0) - (key[at] ?? 0);
    if (order !== 0) return order;
  }
  return length - key.length;
}

function lengthAt(bytes: Buffer, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
}

function isSame(bytes: Buffer, start: number, key: Uint8Array): boolean {
  // Keys of one stretch differ at their end.
  for (let at = key.length - 1; at >= 0; at--) if (bytes[start + at] !== key[at]) return false;
  return true;
}
