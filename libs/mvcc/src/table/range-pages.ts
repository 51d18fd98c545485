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
  RANGE_PAGE_BYTES_MAX,
  type RangePage,
  type RangeQuery,
  type TableIterator,
  type TableRow,
} from './table-types.js';
import { varintSize } from './varint.js';

/** Room for the fields that are not rows: the largest header, `more` and `count`. */
const RESPONSE_FRAME_BYTES = 96;

/** The rest of a range, and how many rows of it may still be given. */
class RangePager implements TableIterator {
  private cursor: RowCursor | undefined;
  private pending: Version | undefined;
  private rowsLeft: number;
  private ended = false;

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
    if (this.ended) return undefined;
    const page = this.query.countOnly === true ? this.countPage() : this.rowPage();
    if (!page.more || this.rowsLeft === 0) this.close();
    return page;
  }

  close(): void {
    this.ended = true;
    this.cursor?.close();
    this.cursor = undefined;
    this.pending = undefined;
  }

  private countPage(): RangePage {
    let count = 0;
    for (let row = this.take(); row !== undefined; row = this.take()) {
      if (count === this.rowsLeft) {
        this.rowsLeft = 0;
        return { kvs: [], more: true, count };
      }
      count += 1;
    }
    return { kvs: [], more: false, count };
  }

  private rowPage(): RangePage {
    const bytesMax = this.query.pageBytesMax ?? RANGE_PAGE_BYTES_MAX;
    const kvs: TableRow[] = [];
    let bytes = RESPONSE_FRAME_BYTES;
    for (let row = this.take(); row !== undefined; row = this.take()) {
      const rowBytes = encodedRowBytes(row);
      const isFull = kvs.length > 0 && bytes + rowBytes >= bytesMax;
      if (isFull || this.rowsLeft === 0) {
        this.pending = row;
        return { kvs, more: true, count: kvs.length };
      }
      kvs.push(row);
      bytes += rowBytes;
      this.rowsLeft -= 1;
    }
    return { kvs, more: false, count: kvs.length };
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
  return {
    next() {
      const given = page;
      page = undefined;
      return given;
    },
    close() {
      page = undefined;
    },
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

function singlePage(row: Version | undefined, query: RangeQuery): RangePage {
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
