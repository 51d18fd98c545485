/**
 * A range of an LMDB view in pages.
 *
 *   on the open write transaction -- next write --> on a view of the moment -- close --> closed
 *
 * In: a range. Out: pages of copies. Most ranges are read and closed before anything is written, and
 * these read what is not yet committed; the others go on in a view of the commit that comes before
 * the next write, behind the last row that was read. Bounds longer than any stored key are cut to
 * that length, which takes the same rows once the cut start is excluded and the cut end included.
 */
import {
  type EngineIterator,
  type EngineIteratorOptions,
  type EnginePage,
  PAGE_BYTES_MAX,
} from '../engine.js';
import { EngineError } from '../engine-error.js';
import {
  KEY_BYTES_MAX,
  type LmdbRangeOptions,
  type LmdbRow,
  type LmdbSnapshot,
  type LmdbStore,
} from './binding.js';
import { toEngineError } from './native-error.js';

/** The options of a range for the library, whose start is the higher bound in reverse. */
export function rangeOptions(options: EngineIteratorOptions): LmdbRangeOptions {
  const { gte, lt } = options;
  const low = gte.subarray(0, KEY_BYTES_MAX);
  const high = lt.subarray(0, KEY_BYTES_MAX);
  const withoutLow = low.length < gte.length;
  const withHigh = high.length < lt.length;
  const values = options.content !== 'keys';
  // The bounds may change once the call is over.
  return options.reverse === true
    ? {
        start: Buffer.from(high),
        end: Buffer.from(low),
        reverse: true,
        exclusiveStart: !withHigh,
        inclusiveEnd: !withoutLow,
        values,
      }
    : {
        start: Buffer.from(low),
        end: Buffer.from(high),
        reverse: false,
        exclusiveStart: withoutLow,
        inclusiveEnd: withHigh,
        values,
      };
}

export class LmdbIterator implements EngineIterator {
  private rows: Iterator<LmdbRow | Buffer> | undefined;
  private isClosed = false;
  private done: boolean;
  private lastKey: Buffer | undefined;
  private range: LmdbRangeOptions;
  private readonly content: 'entries' | 'keys' | 'values';
  private readonly pageBytesMax: number;

  constructor(
    private readonly store: LmdbStore,
    /** Absent: on the open write transaction. */
    private view: LmdbSnapshot | undefined,
    options: EngineIteratorOptions,
    private readonly onClose: (iterator: LmdbIterator) => void,
  ) {
    this.content = options.content ?? 'entries';
    this.pageBytesMax = options.pageBytesMax ?? PAGE_BYTES_MAX;
    this.done = Buffer.compare(options.gte, options.lt) >= 0;
    this.range = rangeOptions(options);
    if (view !== undefined) this.range.transaction = view;
  }

  /** Takes its hands off the write transaction, which is about to end. */
  leave(): void {
    this.rows?.return?.();
    this.rows = undefined;
  }

  /** Goes on in a view of the same moment. */
  settle(view: LmdbSnapshot): void {
    this.view = view;
    this.range.transaction = view;
    if (this.lastKey !== undefined) {
      this.range = { ...this.range, start: this.lastKey, exclusiveStart: true };
    }
  }

  read(rowsMax: number): EnginePage {
    if (this.isClosed) throw new EngineError('ENGINE_CLOSED', 'the range view is closed');
    const items: Buffer[] = [];
    if (this.done) return { items, done: true };
    try {
      this.rows ??= this.store.getRange(this.range)[Symbol.iterator]();
      this.done = this.fill(items, Math.max(1, rowsMax), this.rows);
    } catch (cause) {
      throw toEngineError(cause, 'range read failed');
    }
    return { items, done: this.done };
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.leave();
    this.view?.done();
    this.onClose(this);
  }

  /** Whether nothing is left. */
  private fill(items: Buffer[], rowsMax: number, rows: Iterator<LmdbRow | Buffer>): boolean {
    let bytes = 0;
    for (let count = 0; count < rowsMax && bytes <= this.pageBytesMax; count += 1) {
      const next = rows.next();
      if (next.done === true) return true;
      const row = next.value;
      if (Buffer.isBuffer(row)) {
        bytes += row.length;
        items.push(row);
        this.lastKey = row;
        continue;
      }
      this.lastKey = row.key;
      bytes += row.value.length;
      if (this.content === 'entries') {
        bytes += row.key.length;
        items.push(row.key);
      }
      items.push(row.value);
    }
    return false;
  }
}
