/**
 * Cuts the packed rows of a range into response pages: the same pages as `range-pages.ts`, without an
 * object for each row.
 *
 * In: stretches of packed rows and a query. Out: pieces of memory that, one behind the other, are the
 * rows of a page. They are never written again, and belong to nobody: copy them soon, as each one keeps
 * the whole run that it is a part of.
 */
import { keyRangeOf } from './keyspace.js';
import { packedKeyBytes, packedVersionBytes, packKey, packVersion } from './packed-row.js';
import { RESPONSE_FRAME_BYTES } from './range-pages.js';
import { type Version } from './row-codec.js';
import { RowStretches, type Stretch, type StretchSource } from './row-stretches.js';
import {
  type MayGoOn,
  type PackedPages,
  type PackedSlice,
  RANGE_PAGE_BYTES_MAX,
  type RangeQuery,
} from './table-types.js';

/** Of the newest state: a revision cannot be asked for. */
export type PackedQuery = Omit<RangeQuery, 'revision'>;

/** Without a range end, one page of one key at most. */
export function openPackedPages(source: StretchSource, query: PackedQuery): PackedPages {
  if (query.rangeEnd !== undefined) return new PackedPager(source, query, query.rangeEnd);
  let page: PackedSlice | undefined = singlePage(source.get(Buffer.from(query.key)), query);
  return {
    slice() {
      const given = page;
      page = undefined;
      return given;
    },
    close: () => (page = undefined),
  };
}

class PackedPager implements PackedPages {
  private readonly stretches: RowStretches;
  private readonly content: 'rows' | 'keys' | 'count';
  private readonly bytesMax: number;
  /** What is left of the rows that were found last. */
  private stretch: Stretch | undefined;
  private rowsLeft: number;
  private ended = false;
  /** Of the page that is being gathered. */
  private pageRows = 0;
  private pageBytes = RESPONSE_FRAME_BYTES;

  constructor(source: StretchSource, query: PackedQuery, rangeEnd: Uint8Array) {
    const limit = query.limit ?? 0;
    this.rowsLeft = limit > 0 ? limit : Infinity;
    this.content = query.countOnly === true ? 'count' : query.keysOnly === true ? 'keys' : 'rows';
    this.bytesMax = query.pageBytesMax ?? RANGE_PAGE_BYTES_MAX;
    this.stretches = new RowStretches(source, {
      range: keyRangeOf(query.key, rangeEnd),
      content: this.content,
      rowsHint: limit > 0 ? limit + 1 : 0,
    });
  }

  slice(mayGoOn: MayGoOn): PackedSlice | undefined {
    if (this.ended) return undefined;
    const slice = this.gather(mayGoOn);
    if (!slice.isLast) {
      this.stretches.pause();
      return slice;
    }
    this.pageRows = 0;
    this.pageBytes = RESPONSE_FRAME_BYTES;
    if (!slice.more || this.rowsLeft === 0) this.close();
    else this.stretches.pause();
    return slice;
  }

  close(): void {
    this.ended = true;
    this.stretch = undefined;
    this.stretches.close();
  }

  private gather(mayGoOn: MayGoOn): PackedSlice {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    const slice = (more: boolean, isLast: boolean): PackedSlice => {
      return { parts, bytes, more, count: this.pageRows, isLast };
    };
    for (;;) {
      this.stretch ??= this.nextStretch();
      if (this.stretch === undefined) return slice(false, true);
      const { run, from, until } = this.stretch;
      const end = this.pageEnd(this.stretch);
      if (end === from && until > from) return slice(true, true);
      if (run !== undefined && this.content !== 'count' && end > from) {
        parts.push(run.slice(from, end));
        bytes += run.bytesOf(from, end);
        this.pageBytes += run.bytesOf(from, end);
      }
      this.pageRows += end - from;
      this.rowsLeft -= end - from;
      this.stretch = end === until ? undefined : { run, from: end, until };
      if (!mayGoOn()) return slice(true, false);
    }
  }

  /** Up to where the rows of a stretch go into the page; a row larger than a page goes alone. */
  private pageEnd({ run, from, until }: Stretch): number {
    const wanted = Math.min(until, from + this.rowsLeft);
    if (run === undefined || this.content === 'count') return wanted;
    const end = run.fitting(from, wanted, this.bytesMax - this.pageBytes);
    return end === from && this.pageRows === 0 && wanted > from ? from + 1 : end;
  }

  private nextStretch(): Stretch | undefined {
    const stretch = this.stretches.next();
    if (stretch?.run === undefined || this.content !== 'keys') return stretch;
    const { run, from } = stretch;
    if (run.isOfKeys) return stretch;
    // One more than is wanted tells that there are more.
    const until = Math.min(stretch.until, from + this.rowsLeft + 1);
    return { run: run.withoutValues(from, until), from: 0, until: until - from };
  }
}

function singlePage(row: Version | undefined, query: PackedQuery): PackedSlice {
  if (row === undefined) return { parts: [], bytes: 0, more: false, count: 0, isLast: true };
  if (query.countOnly === true) return { parts: [], bytes: 0, more: false, count: 1, isLast: true };
  const bytes = query.keysOnly === true ? packedKeyBytes(row.key.length) : packedVersionBytes(row);
  const packed = Buffer.allocUnsafe(bytes);
  if (query.keysOnly === true) packKey(packed, 0, row.key, 0, row.key.length);
  else packVersion(packed, 0, row);
  return { parts: [packed], bytes, more: false, count: 1, isLast: true };
}
