/**
 * The rows of a range at one moment, stretch by stretch, from memory where they are kept there and from
 * the engine where not.
 *
 *   unsettled: nothing was written since it began; what memory and engine hold now is its moment
 *        \-- the table is about to change --> settled: the rest comes from one view of the engine
 *
 * In: a range. Out: packed rows in order, without a gap. A view of the engine is opened when it is needed,
 * and before the table changes at the latest: two moments must never be mixed.
 */
import { type TableRuns } from '../cache/range-cache.js';
import { compareKeys, endOf, type Run, type RunEnd, runOfKeys, runOfStored } from '../cache/run.js';
import { type Engine, type EngineIterator } from '../engine/engine.js';
import { isEmptyRange, type Keyspace, type KeyRange } from './keyspace.js';
import { type Version } from './row-codec.js';
import { SCAN_PAGE_BYTES_MAX } from './row-reader.js';

/** Rows of one read of the engine; one that goes on reads at least the first number. */
const READ_ROWS_MIN = 32;
const READ_ROWS_MAX = 256;
/** Reads of one table that go on later without a view of the engine; the rest open theirs at once. */
const UNSETTLED_MAX = 64;

/** Reads of a table that have no view of the engine, and have to open one before it changes. */
export class UnsettledReads {
  private readonly all = new Set<RowStretches>();

  get isCrowded(): boolean {
    return this.all.size > UNSETTLED_MAX;
  }

  add(read: RowStretches): void {
    this.all.add(read);
  }

  delete(read: RowStretches): void {
    this.all.delete(read);
  }

  /** The table is about to change. */
  settle(): void {
    if (this.all.size === 0) return;
    for (const read of this.all) read.settle();
  }
}

/** Where a table's newest rows are read. */
export interface StretchSource {
  readonly engine: Engine;
  readonly keyspace: Keyspace;
  /** Absent: nothing is kept in memory. */
  readonly runs: TableRuns | undefined;
  readonly unsettled: UnsettledReads;
  /** What is stored of a key now. */
  readonly get: (key: Buffer) => Version | undefined;
}

export interface StretchQuery {
  readonly range: KeyRange;
  /** Whole rows; else keys alone or how many there are, and what is read for it is not kept. */
  readonly content: 'rows' | 'keys' | 'count';
  /** Rows the caller expects to read; 0: no idea. */
  readonly rowsHint: number;
}

interface View {
  readonly iterator: EngineIterator;
  /** Where it ends. */
  readonly high: Uint8Array | undefined;
}

/** Rows of a run, from one position up to and without another. For a count there may be no run. */
export interface Stretch {
  readonly run: Run | undefined;
  readonly from: number;
  readonly until: number;
}

interface Found extends Stretch {
  /** What lies below it is known. */
  readonly high: Uint8Array | undefined;
}

export class RowStretches {
  /** What lies below it has been given. Undefined: all has. */
  private position: Uint8Array | undefined;
  private readonly end: Uint8Array | undefined;
  private view: View | undefined;
  private isSettled = false;
  /** The view could not be opened when it had to be. */
  private failure: Error | undefined;
  /** Rows that are still to be given, and one more. */
  private expected: number;
  /** Of the last read of the engine. */
  private readRows = 0;
  private keptBytes = 0;

  constructor(
    private readonly source: StretchSource,
    private readonly query: StretchQuery,
  ) {
    const { range, rowsHint } = query;
    this.expected = rowsHint > 0 ? rowsHint : Infinity;
    // Both are used after the call.
    this.end = range.end && Buffer.from(range.end);
    if (isEmptyRange(range)) return;
    this.position = Buffer.from(range.start);
    source.unsettled.add(this);
  }

  /**
   * The next rows; undefined at the end. There may be none: between two that are left lie as many
   * stretches as memory has emptied ones, and who asked must be able to stop among them.
   */
  next(): Stretch | undefined {
    if (this.failure !== undefined) throw this.failure;
    if (this.position === undefined) return undefined;
    const stretch = this.kept(this.position) ?? this.read(this.position);
    this.expected -= stretch.until - stretch.from;
    const { high } = stretch;
    this.position = high && !this.isEnd(high) ? high : undefined;
    if (this.position === undefined) this.close();
    return stretch;
  }

  /** Others take their turn. */
  pause(): void {
    if (!this.isSettled && this.source.unsettled.isCrowded) this.settle();
  }

  /** From now on memory and engine may show another moment. */
  settle(): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.source.unsettled.delete(this);
    if (this.position === undefined) return;
    if (this.view !== undefined && this.view.high === this.end) return;
    try {
      this.view?.iterator.close();
      this.view = undefined;
      this.view = this.open(this.position, this.end);
    } catch (error) {
      // It concerns this read, not the write that comes.
      this.failure = error instanceof Error ? error : new Error(String(error));
    }
  }

  /** Idempotent. */
  close(): void {
    this.position = undefined;
    this.source.unsettled.delete(this);
    this.closeView();
  }

  private kept(position: Uint8Array): Found | undefined {
    const { runs, get } = this.source;
    if (runs === undefined || this.isSettled) return undefined;
    const run = runs.find(position, get);
    if (run === undefined) return undefined;
    // It stands where the run begins.
    this.closeView();
    const from = compareKeys(run.low, position) === 0 ? 0 : run.indexOf(position);
    const goesOn = this.end === undefined || (run.high !== undefined && !this.isBeyond(run.high));
    const until = goesOn || this.end === undefined ? run.count : run.indexOf(this.end);
    runs.used(run, from, Math.min(until, from + this.expected - 1));
    return { run, from, until, high: run.high };
  }

  private read(position: Uint8Array): Found {
    this.view ??= this.open(position, this.isSettled ? this.end : this.gapEnd(position));
    const { iterator, high } = this.view;
    const { items, done } = iterator.read(this.rowsToRead());
    if (done) this.closeView();
    return this.found(items, position, done ? { high } : undefined);
  }

  /** `end` is known when the view is through. */
  private found(items: Buffer[], position: Uint8Array, end: RunEnd | undefined): Found {
    const { content } = this.query;
    const { keyspace } = this.source;
    if (content === 'rows') {
      const run = runOfStored(items, position, end);
      this.keep(run);
      return { run, from: 0, until: run.count, high: run.high };
    }
    if (content === 'keys') {
      const run = runOfKeys(
        items.map((key) => keyspace.userKeyOfLive(key)),
        position,
        end,
      );
      return { run, from: 0, until: run.count, high: run.high };
    }
    const last = items[items.length - 1];
    const high = endOf(end, last && keyspace.userKeyOfLive(last));
    return { run: undefined, from: 0, until: items.length, high };
  }

  /** First what is expected, or a few; then more and more. */
  private rowsToRead(): number {
    const isFirst = this.readRows === 0;
    const grown = isFirst ? READ_ROWS_MIN : this.readRows * 2;
    const wanted = this.expected < Infinity ? this.expected : grown;
    const least = isFirst ? 1 : READ_ROWS_MIN;
    this.readRows = Math.min(Math.max(least, wanted), READ_ROWS_MAX);
    return this.readRows;
  }

  private keep(run: Run): void {
    const { runs } = this.source;
    if (runs === undefined || this.isSettled || this.keptBytes > runs.readBytesMax) return;
    this.keptBytes += run.bytes;
    run.seen = Math.max(0, Math.min(run.count, this.expected - 1));
    runs.store(run);
  }

  private open(position: Uint8Array, high: Uint8Array | undefined): View {
    const { engine, keyspace, runs } = this.source;
    const pageBytesMax = Math.min(runs?.runBytesMax ?? SCAN_PAGE_BYTES_MAX, SCAN_PAGE_BYTES_MAX);
    const iterator = engine.iterator({
      ...keyspace.liveRange({ start: position, end: high }),
      content: this.query.content === 'rows' ? 'values' : 'keys',
      pageBytesMax,
    });
    return { iterator, high };
  }

  /** What memory has next, or the end of the range. */
  private gapEnd(position: Uint8Array): Uint8Array | undefined {
    const low = this.source.runs?.nextLow(position);
    return low !== undefined && !this.isBeyond(low) ? low : this.end;
  }

  private isEnd(high: Uint8Array): boolean {
    return this.end !== undefined && compareKeys(high, this.end) >= 0;
  }

  private isBeyond(high: Uint8Array): boolean {
    return this.end !== undefined && compareKeys(high, this.end) > 0;
  }

  private closeView(): void {
    this.view?.iterator.close();
    this.view = undefined;
  }
}
