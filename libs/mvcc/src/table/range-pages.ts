/**
 * Cuts the rows of a range into response pages.
 *
 * In: a reader and a query. Out: pages whose encoded `RangeResponse` stays below the bound, each with
 * the true answer to whether another key follows. A row larger than a page is given alone, so that
 * a reader always gets on. A page must never be empty unless nothing is left.
 */
import { keyRangeOf } from './keyspace.js';
import { Version } from './row-codec.js';
import { ROWS_HINT_DEFAULT, type RowCursor, type RowReader } from './row-reader.js';
import {
  type MayGoOn,
  type PageSlice,
  RANGE_PAGE_BYTES_MAX,
  type RangePage,
  type RangeQuery,
  type TableIterator,
  type TableRow,
} from './table-types.js';
import { varintSize } from './varint.js';

/** Room for the fields that are not rows: the largest header, `more` and `count`. */
export const RESPONSE_FRAME_BYTES = 96;

/** So many rows, or bytes of rows, are looked at before it is asked again whether there is time. */
const UNASKED_ROWS_MAX = 64;
const UNASKED_BYTES_MAX = 64 * 1024;

const ALWAYS: MayGoOn = () => true;

/** The rest of a range, and how many rows of it may still be given. */
class RangePager implements TableIterator {
  private cursor: RowCursor | undefined;
  private pending: Version | undefined;
  private rowsLeft: number;
  private ended = false;
  /** Of the page that is being gathered. */
  private pageRows = 0;
  private pageBytes = RESPONSE_FRAME_BYTES;

  constructor(
    reader: RowReader,
    private readonly query: RangeQuery,
    rangeEnd: Uint8Array,
  ) {
    const limit = query.limit ?? 0;
    this.rowsLeft = limit > 0 ? limit : Infinity;
    this.cursor = reader.open({
      range: keyRangeOf(query.key, rangeEnd),
      keysOnly: query.keysOnly === true || query.countOnly === true,
      rowsHint: limit > 0 ? limit + 1 : ROWS_HINT_DEFAULT,
    });
  }

  next(): RangePage | undefined {
    const slice = this.slice(ALWAYS);
    return slice && { kvs: slice.kvs, more: slice.more, count: slice.count };
  }

  slice(mayGoOn: MayGoOn): PageSlice | undefined {
    if (this.ended) return undefined;
    const slice = this.query.countOnly === true ? this.counted(mayGoOn) : this.rows(mayGoOn);
    if (!slice.isLast) return slice;
    this.pageRows = 0;
    this.pageBytes = RESPONSE_FRAME_BYTES;
    if (!slice.more || this.rowsLeft === 0) this.close();
    return slice;
  }

  close(): void {
    this.ended = true;
    this.cursor?.close();
    this.cursor = undefined;
    this.pending = undefined;
  }

  private counted(mayGoOn: MayGoOn): PageSlice {
    for (;;) {
      if (!this.isPrepared(mayGoOn)) return this.sliceOf([], true, false);
      const row = this.take();
      if (row === undefined) break;
      if (this.pageRows === this.rowsLeft) {
        this.rowsLeft = 0;
        return this.sliceOf([], true, true);
      }
      this.pageRows += 1;
      if (this.pageRows % UNASKED_ROWS_MAX === 0 && !mayGoOn())
        return this.sliceOf([], true, false);
    }
    return this.sliceOf([], false, true);
  }

  private rows(mayGoOn: MayGoOn): PageSlice {
    const bytesMax = this.query.pageBytesMax ?? RANGE_PAGE_BYTES_MAX;
    const kvs: TableRow[] = [];
    let unaskedBytes = 0;
    for (;;) {
      if (!this.isPrepared(mayGoOn)) return this.sliceOf(kvs, true, false);
      const row = this.take();
      if (row === undefined) break;
      const rowBytes = encodedRowBytes(row);
      const isFull = this.pageRows > 0 && this.pageBytes + rowBytes >= bytesMax;
      if (isFull || this.rowsLeft === 0) {
        this.pending = row;
        return this.sliceOf(kvs, true, true);
      }
      kvs.push(row);
      this.pageRows += 1;
      this.pageBytes += rowBytes;
      this.rowsLeft -= 1;
      unaskedBytes += rowBytes;
      if (kvs.length % UNASKED_ROWS_MAX !== 0 && unaskedBytes < UNASKED_BYTES_MAX) continue;
      unaskedBytes = 0;
      if (!mayGoOn()) return this.sliceOf(kvs, true, false);
    }
    return this.sliceOf(kvs, false, true);
  }

  private sliceOf(kvs: TableRow[], more: boolean, isLast: boolean): PageSlice {
    return { kvs, more, count: this.pageRows, isLast };
  }

  private isPrepared(mayGoOn: MayGoOn): boolean {
    if (this.pending !== undefined || this.cursor?.prepare === undefined) return true;
    return this.cursor.prepare(mayGoOn);
  }

  private take(): Version | undefined {
    const row = this.pending ?? this.cursor?.next();
    this.pending = undefined;
    return row;
  }
}

/** Pages of a query; without a range end, one page of one key at most. */
export function openPages(reader: RowReader, query: RangeQuery): TableIterator {
  if (query.rangeEnd !== undefined) return new RangePager(reader, query, query.rangeEnd);
  let page: RangePage | undefined = singlePage(reader.get(query.key), query);
  const next = (): RangePage | undefined => {
    const given = page;
    page = undefined;
    return given;
  };
  return {
    next,
    slice() {
      const given = next();
      return given && { ...given, isLast: true };
    },
    close: () => void next(),
  };
}

/** The first page of a query. */
export function readPage(reader: RowReader, query: RangeQuery): RangePage {
  if (query.rangeEnd === undefined) return singlePage(reader.get(query.key), query);
  const pager = new RangePager(reader, query, query.rangeEnd);
  try {
    return pager.next() ?? { kvs: [], more: false, count: 0 };
  } finally {
    pager.close();
  }
}

/** The page of a query for a single key, whose newest version is given. */
export function singlePage(row: Version | undefined, query: RangeQuery): RangePage {
  if (row === undefined) return { kvs: [], more: false, count: 0 };
  if (query.countOnly === true) return { kvs: [], more: false, count: 1 };
  const given = query.keysOnly === true ? Version.ofKey(row.key) : row;
  return { kvs: [given], more: false, count: 1 };
}

/** Bytes a row takes in a response, its tag and length included. */
export function encodedRowBytes(row: TableRow): number {
  const size =
    fieldBytes(row.key.length) +
    fieldBytes(row.value.length) +
    numberBytes(row.createRevision) +
    numberBytes(row.modRevision);
  return 1 + varintSize(size) + size;
}

const fieldBytes = (length: number): number => (length === 0 ? 0 : 1 + varintSize(length) + length);
const numberBytes = (value: number): number => (value === 0 ? 0 : 1 + varintSize(value));
