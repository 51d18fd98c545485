/**
 * How rows are read, whatever they are read from: the newest state, an older revision, or a batch
 * that is being applied.
 *
 * In: keys and ranges. Out: versions in key order. A cursor shows the moment it was opened and must
 * be closed; it must never be used across a point where others may write and expect the change.
 */
import { ABSENT, type TableVersions } from '../cache/version-cache.js';
import { type Engine, type EngineIterator } from '../engine/engine.js';
import { isEmptyRange, type Keyspace, type KeyRange } from './keyspace.js';
import { decodeVersion, Version } from './row-codec.js';
import { type MayGoOn } from './table-types.js';

export interface RowCursor {
  next(): Version | undefined;
  /** Does, for a while, what has to be done before the next row; false while there is more of it. */
  prepare?(mayGoOn: MayGoOn): boolean;
  close(): void;
}

export interface CursorOptions {
  range: KeyRange;
  /** Rows may come as keys alone. */
  keysOnly: boolean;
  /** Rows the caller expects to read; the first page is cut to it. */
  rowsHint: number;
}

export interface RowReader {
  get(key: Uint8Array): Version | undefined;
  open(options: CursorOptions): RowCursor;
}

/** Rows per read of the engine: a small first page, then growing ones. */
const FIRST_PAGE_ROWS = 32;
const PAGE_ROWS_MAX = 256;

/** Bytes of one read: it cannot be cut short, and comes from disk at worst. */
export const SCAN_PAGE_BYTES_MAX = 128 * 1024;

/** Pulls items one by one out of an engine's range view. */
export class PagedItems {
  private items: Buffer[] = [];
  private at = 0;
  private done = false;
  private pageRows: number;

  constructor(
    private readonly iterator: EngineIterator,
    /** What is left of the rows that the caller expects. */
    private expected: number,
  ) {
    this.pageRows = Math.min(Math.max(1, expected), PAGE_ROWS_MAX);
  }

  next(): Buffer | undefined {
    while (this.at >= this.items.length) {
      if (this.done) return undefined;
      const page = this.iterator.read(this.pageRows);
      this.items = page.items;
      this.done = page.done;
      this.at = 0;
      this.expected -= page.items.length;
      const wanted = this.expected > 0 ? this.expected : this.pageRows * 2;
      this.pageRows = Math.min(Math.max(FIRST_PAGE_ROWS, wanted), PAGE_ROWS_MAX);
    }
    const item = this.items[this.at];
    this.at += 1;
    return item;
  }

  close(): void {
    this.iterator.close();
    this.items = [];
    this.done = true;
  }
}

/** Guess for callers without a bound. */
export const ROWS_HINT_DEFAULT = FIRST_PAGE_ROWS;

export const EMPTY_CURSOR: RowCursor = { next: () => undefined, close: () => undefined };

/** The newest state. Point reads go by what is kept in memory first; ranges never do. */
export class LatestReader implements RowReader {
  constructor(
    private readonly engine: Engine,
    private readonly keyspace: Keyspace,
    private readonly versions?: TableVersions,
  ) {}

  get(key: Uint8Array): Version | undefined {
    const kept = this.versions?.get(key);
    if (kept !== undefined) return kept === ABSENT ? undefined : kept;
    const encoded = this.engine.get(this.keyspace.liveKey(key));
    const row = encoded === undefined ? undefined : decodeVersion(encoded);
    this.versions?.set(key, row);
    return row;
  }

  /** What is kept in memory of a key; undefined where the engine has to be asked. */
  kept(key: Uint8Array): Version | typeof ABSENT | undefined {
    return this.versions?.get(key);
  }

  /** The newest versions of keys that are not kept in memory, with one call of the engine for all. */
  getMany(keys: readonly Uint8Array[]): (Version | undefined)[] {
    const found = this.engine.getMany(keys.map((key) => this.keyspace.liveKey(key)));
    return keys.map((key, at) => {
      const encoded = found[at];
      const row = encoded === undefined ? undefined : decodeVersion(encoded);
      this.versions?.set(key, row);
      return row;
    });
  }

  open({ range, keysOnly, rowsHint }: CursorOptions): RowCursor {
    if (isEmptyRange(range)) return EMPTY_CURSOR;
    const content = keysOnly ? 'keys' : 'values';
    const iterator = this.engine.iterator({
      ...this.keyspace.liveRange(range),
      content,
      pageBytesMax: SCAN_PAGE_BYTES_MAX,
    });
    const items = new PagedItems(iterator, rowsHint);
    const { keyspace } = this;
    return {
      next() {
        const item = items.next();
        if (item === undefined) return undefined;
        return keysOnly ? Version.ofKey(keyspace.userKeyOfLive(item)) : decodeVersion(item);
      },
      close: () => items.close(),
    };
  }
}
