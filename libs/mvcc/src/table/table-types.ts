/**
 * What goes into a table and comes out of it, in plain types.
 *
 * Log indexes, revisions, versions and leases are numbers here (safe to 2^53); they become bigint
 * only in the responses, which are wire messages. Buffers handed out belong to the receiver; buffers
 * handed in must not change until the call returns.
 */
import type { mvccV1 } from '@flotilla/proto';

/** A committed entry of the table's log. */
export interface LogEntry {
  index: number;
  /** An encoded `mvcc.v1.Command`; empty for an entry that only advances the applied index. */
  data: Uint8Array;
}

/** What applying one entry yielded; results align with the entries given. */
export interface ApplyResult {
  /** Revision of the write; 0 for an entry without a command. */
  revision: number;
  /** For a Txn: which branch ran. True for every other command that took effect. */
  succeeded: boolean;
  /** One response per operation, in order. */
  responses: mvccV1.ResponseOp[];
  /** The entry changed nothing because it (or its leader index) was applied before. */
  skipped: boolean;
  /** It changed nothing because its fence is not, or no longer, that of the table. */
  refused?: FenceRefusal;
  /** The same of a batch of rows, or of the end of a filling. */
  fillRefused?: FillRefusal;
}

/**
 * Why rows were not written as they are, or a filling was not ended: a younger token has written; batches
 * before are missing; the table is not one that is filled, or no more; what is there has higher revisions; a
 * command that goes on from the rows is none that can be applied.
 */
export type FillRefusal = 'token' | 'order' | 'closed' | 'revision' | 'malformed';

/** How far a table is that is filled out of sight. */
export interface FillState {
  /** Highest token seen; those below it are refused. */
  readonly token: number;
  /** Batches that were written. */
  readonly batches: number;
  /** False once the filling has ended: it takes a younger token to go on. */
  readonly isOpen: boolean;
  /** As the last batch left it. */
  readonly note: Buffer;
}

/** Which part of a command's fence was wrong. */
export type FenceRefusal = 'epoch' | 'token';

/** Where the commands of a table in a follower cluster come from. */
export interface FenceState {
  /** Epoch of the table in the leader cluster; never changes. */
  readonly epoch: number;
  /** Highest token seen; those below it are refused. */
  readonly token: number;
}

/** A version of a key. */
export interface TableRow {
  key: Buffer;
  value: Buffer;
  /** Revision that created the key (since it was last absent). */
  createRevision: number;
  /** Revision of this version. */
  modRevision: number;
  /** 1 for the version that created the key, one more for each put since. */
  version: number;
  /** 0 when no lease is attached. */
  lease: number;
}

/** One that fills a table. */
export type PlacedRow = Readonly<Omit<TableRow, 'lease'>>;

export interface RangeQuery {
  key: Uint8Array;
  /** Absent: the single key. One zero byte: every key from `key`. Empty: an empty range. */
  rangeEnd?: Uint8Array | undefined;
  /** Rows wanted at most; 0 or absent for no bound. */
  limit?: number;
  /** Rows carry the key alone: the value is empty and the numbers are 0. */
  keysOnly?: boolean;
  /** No rows; `count` is that of the whole range, capped by `limit`. */
  countOnly?: boolean;
  /** Read as of this revision; absent or 0 for the newest. */
  revision?: number;
  /** Bound of the encoded response. Default {@link RANGE_PAGE_BYTES_MAX}. */
  pageBytesMax?: number;
}

export interface RangePage {
  kvs: TableRow[];
  /** Exactly whether the range holds a further key. */
  more: boolean;
  /** Rows in this page; with `countOnly` keys in the range. */
  count: number;
}

/** A response page stays below this, header included: 4 MiB less 1 KiB. */
export const RANGE_PAGE_BYTES_MAX = 4 * 1024 * 1024 - 1024;

/** A piece of a page, as much as there was time for; all of them one behind the other are the page. */
export interface PageSlice extends RangePage {
  /** The page ends here: `more` and `count` are those of the page. */
  isLast: boolean;
}

/** Asked every now and then by what may take long: whether it may go on now. */
export type MayGoOn = () => boolean;

/** Pages of one range as it was when the iterator was made. */
export interface TableIterator {
  /** The next page; the last one has `more` false. An empty range gives one empty page. */
  next(): RangePage | undefined;
  /** The same in pieces. At least some rows are looked at, whatever `mayGoOn` says. */
  slice(mayGoOn: MayGoOn): PageSlice | undefined;
  /** Frees the view; idempotent. Must be called unless the last page was read. */
  close(): void;
}

/** What changed between two revisions. */
export interface ChangesQuery {
  /** Changes of this revision and of those before do not count. 0 is before all. */
  since: number;
  /** Up to which revision; absent or 0 for the newest. Rows are as they were then. */
  revision?: number;
  /** Only keys after this one; empty for all. */
  afterKey?: Uint8Array;
  /** Bound of the keys and values of a page; one row may be larger. */
  pageBytesMax: number;
}

/** A piece of a page of changes. */
export interface ChangesSlice {
  /** Rows of changed keys that exist at the revision. */
  rows: TableRow[];
  /** Keys that were deleted since, and do not exist at the revision. In order with the rows of the page. */
  deletedKeys: Buffer[];
  /** Whether further changes follow; said of the page once `isLast`. */
  more: boolean;
  isLast: boolean;
}

/** All changes between two revisions in the order of keys, page by page. */
export interface ChangesIterator {
  /** The next piece. At least something is looked at, whatever `mayGoOn` says. */
  slice(mayGoOn: MayGoOn): ChangesSlice | undefined;
  /** Frees what is open; idempotent. Must be called. */
  close(): void;
}

/** A piece of a page whose rows are packed: field `kvs` of `regatta.v1.RangeResponse`, again and again. */
export interface PackedSlice {
  /** Views of memory that is never written again. */
  parts: Uint8Array[];
  /** Of all parts. */
  bytes: number;
  /** As in {@link PageSlice}: said of the page once `isLast`. */
  more: boolean;
  count: number;
  isLast: boolean;
}

/** The pages of a {@link TableIterator}, packed. */
export interface PackedPages {
  /** The next piece of a page. At least some rows are looked at, whatever `mayGoOn` says. */
  slice(mayGoOn: MayGoOn): PackedSlice | undefined;
  /** Frees what is open; idempotent. Must be called unless the last page was read. */
  close(): void;
}

/** All rows of a table as it is. */
export interface FeedQuery {
  /** Only keys after this one; empty for all. */
  readonly afterKey: Uint8Array;
  /** Bound of the packed rows of a page; one row may be larger. */
  readonly pageBytesMax: number;
  /** Left free in front of the rows of a page, and behind them. */
  readonly headBytes: number;
  readonly tailBytes: number;
}

/** Packed rows, from `start` to `end`: field `rows` of `flotilla.replication.v1.TableChunk`, again and again. */
export interface FeedPage {
  /** Of the receiver. */
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** A page, with whether rows follow it; or that there was no time to complete one. */
export type FeedSlice =
  | { readonly isLast: false }
  | { readonly isLast: true; readonly more: boolean; readonly page: FeedPage };

export interface FeedPages {
  /** Goes on with a page. At least some rows are looked at, whatever `mayGoOn` says. */
  slice(mayGoOn: MayGoOn): FeedSlice | undefined;
  /** Frees the view; idempotent. Must be called unless the last page was read. */
  close(): void;
}

/** Result of a Txn that changed nothing. */
export interface TxnResult {
  succeeded: boolean;
  responses: mvccV1.ResponseOp[];
}

/** The evaluation of a Txn that changes nothing. */
export interface TxnRead {
  /**
   * Goes on while `mayGoOn`; the result, once there is one. Throws TableError TABLE_COMPACTED when the
   * state it began on is gone.
   */
  run(mayGoOn: MayGoOn): TxnResult | undefined;
  /** Frees what is open; idempotent. Must be called. */
  close(): void;
}

/** Where a table stands. All of it is stored in the meta row. */
export interface TableState {
  /** Last applied entry of the local log. */
  appliedIndex: number;
  /** Last applied index of the leader cluster's log; 0 in the leader cluster itself. */
  leaderIndex: number;
  /** Check of the entry at that index; undefined where nobody told it. */
  leaderCheck?: bigint | undefined;
  /** Newest revision. */
  revision: number;
  /** Reads below this revision are refused. */
  compactedRevision: number;
  /** Numbering period of revisions: a reset starts the next one. */
  epoch: number;
  /** In a follower cluster, once a fenced command was applied. */
  fence?: FenceState | undefined;
  /** Revision of a command that carries none, less the index of its entry. */
  revisionOffset: number;
  /** Entry that made the table what it was filled as, or adopted: no command up to it is history. 0: none. */
  bornAtIndex: number;
  /** While it is filled, and until the first command after that. */
  fill?: FillState | undefined;
}

export interface TableStats extends TableState {
  tableId: number;
  /** Live keys, exactly. */
  keys: number;
  /** Bytes of live keys and values, exactly. */
  liveBytes: number;
  /** Superseded versions kept. */
  historyRows: number;
}

export interface CompactResult {
  /** False: call again, with the same revision, for the rest. */
  done: boolean;
  /** Rows removed by this call. */
  removed: number;
}

/** Anything like the hash of `node:crypto`. */
export interface Hasher {
  update(data: Uint8Array): unknown;
}
