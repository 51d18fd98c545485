/**
 * All rows of a table as it is, packed for chunks of the feed, page by page.
 *
 *   engine --stored rows--> [ room | row | row | ... | room ]  one buffer a page, of its final size
 *
 * In: a view of the engine, opened at the moment that is shown. Out: pages in the order of keys. A row goes
 * from the engine's bytes into the page's, with nothing made in between; the room around the rows is for
 * what the chunk says besides, so that it need not be copied again. A row larger than a page goes alone.
 */
import { type EngineIterator } from '../engine/engine.js';
import { feedRowBytesMax, packFeedRow } from './feed-row.js';
import {
  type FeedPage,
  type FeedPages,
  type FeedQuery,
  type FeedSlice,
  type MayGoOn,
} from './table-types.js';

/** Rows of one read of the engine: few at first, as most tables are small. */
const READ_ROWS_MIN = 32;
const READ_ROWS_MAX = 256;
/** So many bytes of rows are packed before it is asked again whether there is time. */
const UNASKED_BYTES_MAX = 64 * 1024;
const UNASKED_ROWS_MAX = 64;

type Room = Pick<FeedQuery, 'pageBytesMax' | 'headBytes' | 'tailBytes'>;

export class FeedPager implements FeedPages {
  /** What was read and is not packed yet, from `at` on. */
  private items: Buffer[] = [];
  private at = 0;
  private readRows = READ_ROWS_MIN;
  private isRead = false;
  private ended = false;
  /** The page in the making, and where its rows end. */
  private page: Buffer | undefined;
  private end = 0;

  constructor(
    private readonly iterator: EngineIterator,
    private readonly room: Room,
  ) {}

  slice(mayGoOn: MayGoOn): FeedSlice | undefined {
    if (this.ended) return undefined;
    let unaskedRows = 0;
    let unaskedBytes = 0;
    for (let stored = this.peek(); stored !== undefined; stored = this.peek()) {
      if (!this.pack(stored)) return { isLast: true, more: true, page: this.takePage() };
      this.at++;
      unaskedRows++;
      unaskedBytes += stored.length;
      if (unaskedRows < UNASKED_ROWS_MAX && unaskedBytes < UNASKED_BYTES_MAX) continue;
      unaskedRows = 0;
      unaskedBytes = 0;
      if (!mayGoOn()) return { isLast: false };
    }
    const page = this.takePage();
    this.close();
    return { isLast: true, more: false, page };
  }

  close(): void {
    this.ended = true;
    this.items = [];
    this.page = undefined;
    this.iterator.close();
  }

  private peek(): Buffer | undefined {
    while (this.at >= this.items.length && !this.isRead) {
      const { items, done } = this.iterator.read(this.readRows);
      this.items = items;
      this.at = 0;
      this.isRead = done;
      this.readRows = Math.min(this.readRows * 2, READ_ROWS_MAX);
    }
    return this.items[this.at];
  }

  /** False if the page has no room for it. */
  private pack(stored: Buffer): boolean {
    const wanted = feedRowBytesMax(stored.length);
    if (this.page === undefined) this.begin(Math.max(wanted, this.expectedBytes()));
    const { page, end } = this;
    if (page === undefined || end + wanted > page.length - this.room.tailBytes) return false;
    this.end = packFeedRow(page, end, stored);
    return true;
  }

  private begin(rowsBytes: number): void {
    const { headBytes, tailBytes } = this.room;
    this.page = Buffer.allocUnsafeSlow(headBytes + rowsBytes + tailBytes);
    this.end = headBytes;
  }

  /** What the rows of a page will take: less than a whole page if the last ones are known. */
  private expectedBytes(): number {
    const { pageBytesMax } = this.room;
    if (!this.isRead) return pageBytesMax;
    let bytes = 0;
    for (let at = this.at; at < this.items.length && bytes < pageBytesMax; at++) {
      bytes += feedRowBytesMax(this.items[at]?.length ?? 0);
    }
    return Math.min(bytes, pageBytesMax);
  }

  private takePage(): FeedPage {
    if (this.page === undefined) this.begin(0);
    const { page = NO_PAGE, end } = this;
    this.page = undefined;
    return { bytes: page, start: this.room.headBytes, end };
  }
}

const NO_PAGE = Buffer.alloc(0);
