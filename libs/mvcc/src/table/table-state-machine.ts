/**
 * A table as a deterministic state machine over versions.
 *
 * In: committed entries of the table's log, and reads. Out: results for the proposers, rows, pages.
 * Entries go into the engine in batches that carry the applied index, so a crash leaves a state some
 * prefix of the log led to, and replaying the log from there completes it. The same log must give
 * the same content on every replica, however its entries come in calls: nothing here reads a clock,
 * a random source or anything but the entries and the engine. Reads show what has been applied; all
 * of it is synchronous, so no read ever falls between two changes of one entry.
 */
import { type mvccV1 } from '@flotilla/proto';
import { type RangeCache, type TableRuns } from '../cache/range-cache.js';
import { ABSENT, type TableVersions, type VersionCache } from '../cache/version-cache.js';
import { type Engine } from '../engine/engine.js';
import { ApplyBatch } from './apply-batch.js';
import { ChangedRows } from './changed-rows.js';
import { applyCommand } from './command-apply.js';
import { decodeCommand, type DecodedCommand } from './command-decoder.js';
import { COMPACT_ROWS_DEFAULT, compactHistory } from './compaction.js';
import { allHold, type Condition } from './condition.js';
import { Keyspace, otherSlot } from './keyspace.js';
import { FeedPager } from './feed-pages.js';
import { decodeMeta, freshMeta, type Meta } from './meta-row.js';
import { openPackedPages, type PackedQuery } from './packed-pages.js';
import { openPages, readPage, singlePage } from './range-pages.js';
import { RevisionReader, type RevisionView } from './revision-reader.js';
import {
  LatestReader,
  ROWS_HINT_DEFAULT,
  type RowReader,
  SCAN_PAGE_BYTES_MAX,
} from './row-reader.js';
import { UnsettledReads } from './row-stretches.js';
import { activeKeyspace, clearInactive } from './slots.js';
import { TableError } from './table-error.js';
import { TableSnapshot } from './table-snapshot.js';
import {
  type ApplyResult,
  type ChangesIterator,
  type ChangesQuery,
  type CompactResult,
  type FeedPages,
  type FeedQuery,
  type Hasher,
  type LogEntry,
  type PackedPages,
  type RangePage,
  type RangeQuery,
  type TableIterator,
  type TableRow,
  type TableState,
  type TableStats,
  type TxnRead,
  type TxnResult,
} from './table-types.js';
import { openTxnRead } from './txn-read.js';
import { writeUint64 } from './varint.js';

export interface TableStateMachineOptions {
  engine: Engine;
  /** Numeric id of the table: an unsigned 32-bit integer, never used twice on one engine. */
  tableId: number;
  /** Keeps versions that are asked for often. Only this object may write the table then. */
  cache?: VersionCache | undefined;
  /** The same for ranges. */
  rangeCache?: RangeCache | undefined;
}

/** Bounds of one engine batch; at least one entry goes in, whatever its size. */
export const BATCH_ENTRIES_MAX = 256;
export const BATCH_BYTES_MAX = 4 * 1024 * 1024;

const HASH_HEAD_BYTES = 6 * 8;
const NO_KEY = Buffer.alloc(0);
const ZERO = Buffer.alloc(1);

export class TableStateMachine {
  private readonly engine: Engine;
  private readonly tableId: number;
  private readonly versions: TableVersions | undefined;
  private readonly runs: TableRuns | undefined;
  private readonly unsettled = new UnsettledReads();
  private keyspace: Keyspace;
  private latest: LatestReader;
  private meta: Meta;
  private isClosed = false;

  /** Takes up the table where the engine left it; a table without rows is empty. */
  constructor({ engine, tableId, cache, rangeCache }: TableStateMachineOptions) {
    this.engine = engine;
    this.tableId = tableId;
    this.keyspace = activeKeyspace(engine, tableId);
    this.versions = cache?.table();
    this.runs = rangeCache?.table();
    this.latest = new LatestReader(engine, this.keyspace, this.versions);
    this.meta = this.storedMeta(this.keyspace);
  }

  get state(): Readonly<TableState> {
    return this.meta;
  }

  /** False once the table was destroyed. */
  get isOpen(): boolean {
    return !this.isClosed;
  }

  /**
   * Applies committed entries in the order of the log. Those at or below the applied index are
   * skipped. Throws `TableError` when the log is broken, `EngineError` when the engine fails; the
   * state is then that of the last batch written, and the process should end.
   */
  apply(entries: readonly LogEntry[]): ApplyResult[] {
    this.requireOpen();
    const results: ApplyResult[] = [];
    while (results.length < entries.length) this.applySome(entries, results);
    return results;
  }

  /** The newest version of a key, or the one at a revision. */
  get(key: Uint8Array, options: { revision?: number } = {}): TableRow | undefined {
    return this.readerAt(options.revision).get(key);
  }

  /** The first page of a range. */
  range(query: RangeQuery): RangePage {
    return readPage(this.readerAt(query.revision), query);
  }

  /** The page of a single key, if memory has what it takes; undefined where the engine has to be asked. */
  keptPage(query: RangeQuery): RangePage | undefined {
    this.requireOpen();
    const kept = this.latest.kept(query.key);
    return kept && singlePage(kept === ABSENT ? undefined : kept, query);
  }

  /** The pages of single keys, of the newest state, with one call of the engine for all. */
  pagesOfKeys(queries: readonly RangeQuery[]): RangePage[] {
    this.requireOpen();
    const rows = this.latest.getMany(queries.map(({ key }) => key));
    return queries.map((query, at) => singlePage(rows[at], query));
  }

  /** All pages of a range, as it is at the call. */
  iterate(query: RangeQuery): TableIterator {
    return openPages(this.readerAt(query.revision), query);
  }

  /**
   * What changed since a revision. Throws TableError TABLE_COMPACTED where history does not reach back
   * that far, and, as its pages are read, TABLE_CHANGES_TOO_MANY.
   */
  iterateChanges({ since, revision, afterKey, pageBytesMax }: ChangesQuery): ChangesIterator {
    const upTo = revision === undefined || revision === 0 ? this.meta.revision : revision;
    const view = this.viewAt(upTo);
    if (since > upTo) throw futureRevision(since, { ...this.meta, revision: upTo });
    if (since < this.meta.compactedRevision) throw compactedRevision(since, this.meta);
    return new ChangedRows(view, { since, afterKey: afterKey ?? NO_KEY, pageBytesMax });
  }

  /** The same pages, of the newest state, as bytes: what is asked for often comes from memory. */
  iteratePacked(query: PackedQuery): PackedPages {
    this.requireOpen();
    const { engine, keyspace, runs, unsettled, latest } = this;
    const get = (key: Buffer) => latest.get(key);
    return openPackedPages({ engine, keyspace, runs, unsettled, get }, query);
  }

  /** All rows as they are now, packed for the feed. */
  iterateFeed(query: FeedQuery): FeedPages {
    this.requireOpen();
    const { afterKey } = query;
    // The first key above another one is that one and a zero byte.
    const start = afterKey.length === 0 ? afterKey : Buffer.concat([afterKey, ZERO]);
    const iterator = this.engine.iterator({
      ...this.keyspace.liveRange({ start, end: undefined }),
      content: 'values',
      pageBytesMax: SCAN_PAGE_BYTES_MAX,
    });
    return new FeedPager(iterator, query);
  }

  /** Whether all conditions hold now. */
  matches(conditions: readonly Condition[]): boolean {
    return allHold(this.readerAt(undefined), conditions);
  }

  /** Evaluates a Txn for which `isReadOnlyTxn` is true; changes nothing, the revision included. */
  evaluateReadOnlyTxn(txn: mvccV1.Txn): TxnResult {
    const read = this.openReadOnlyTxn(txn);
    try {
      return read.run(() => true) ?? { succeeded: false, responses: [] };
    } finally {
      read.close();
    }
  }

  /** The same in pieces, all of them on the state as it is at the call. */
  openReadOnlyTxn(txn: mvccV1.Txn): TxnRead {
    this.requireOpen();
    const { revision, epoch } = this.meta;
    return openTxnRead(() => {
      const now = this.meta;
      if (now.revision === revision && now.epoch === epoch) return this.readerAt(undefined);
      if (now.epoch === epoch && revision > 0) return this.readerAt(revision);
      throw new TableError('TABLE_COMPACTED', `revision ${revision} is of an earlier state`);
    }, txn);
  }

  /**
   * Gives up revisions below `revision`; call again with the same one until it is done. Reads below
   * it are refused from the first call on.
   */
  compact(revision: number, options: { rowsMax?: number } = {}): CompactResult {
    this.requireOpen();
    if (revision > this.meta.revision) throw futureRevision(revision, this.meta);
    const compactedRevision = Math.max(revision, this.meta.compactedRevision);
    const rowsMax = options.rowsMax ?? COMPACT_ROWS_DEFAULT;
    const meta = { ...this.meta, compactedRevision };
    const compacted = compactHistory(this.engine, this.keyspace, meta, rowsMax);
    this.meta = compacted.meta;
    return compacted.result;
  }

  /** Feeds every live row at a revision to a hash. Reads the whole table in one go. */
  hash(hasher: Hasher, options: { revision?: number } = {}): { revision: number; rows: number } {
    const reader = this.readerAt(options.revision);
    const range = { start: Buffer.alloc(0), end: undefined };
    const cursor = reader.open({ range, keysOnly: false, rowsHint: ROWS_HINT_DEFAULT });
    let rows = 0;
    try {
      for (let row = cursor.next(); row !== undefined; row = cursor.next()) {
        hashRow(hasher, row);
        rows += 1;
      }
    } finally {
      cursor.close();
    }
    const revision = options.revision ?? 0;
    return { revision: revision > 0 ? revision : this.meta.revision, rows };
  }

  stats(): TableStats {
    this.requireOpen();
    return { tableId: this.tableId, ...this.meta };
  }

  /** A view of everything as it is now, to be given away. Close it. */
  openSnapshot(): TableSnapshot {
    this.requireOpen();
    return new TableSnapshot(this.engine, this.keyspace, { ...this.meta });
  }

  /** The note of a whole state that lies staged; undefined if none does. */
  stagedNote(): Buffer | undefined {
    return this.engine.get(this.keyspace.stagedKey);
  }

  /** The note of the staged state that the table's state began as; undefined if it began empty. */
  installedNote(): Buffer | undefined {
    return this.engine.get(this.keyspace.activeKey)?.subarray(1);
  }

  /**
   * Makes the staged state the table's state, in one batch. Views that are open keep the old one,
   * whose rows stay until `removeInactive`. Throws TableError TABLE_NOT_STAGED.
   */
  installStaged(): void {
    this.requireOpen();
    const note = this.stagedNote();
    if (note === undefined) throw notStaged(`table ${this.tableId} has no staged state`);
    const next = new Keyspace(this.tableId, otherSlot(this.keyspace.slot));
    const meta = this.storedMeta(next);
    if (meta.appliedIndex <= this.meta.appliedIndex) {
      const indexes = `${meta.appliedIndex}, the table holds ${this.meta.appliedIndex}`;
      throw notStaged(`the state staged for table ${this.tableId} holds entry ${indexes}`);
    }
    this.unsettled.settle();
    this.engine
      .batch()
      .put(next.activeKey, Buffer.concat([Buffer.from([next.slot]), note]))
      .del(next.stagedKey)
      .write();
    this.versions?.clear();
    this.runs?.clear();
    this.keyspace = next;
    this.latest = new LatestReader(this.engine, next, this.versions);
    this.meta = meta;
  }

  /** Removes what lies in the slot that is not in use, a staged state included. */
  removeInactive(): void {
    this.requireOpen();
    clearInactive(this.engine, this.keyspace, this.tableId);
  }

  /** Removes every row of the table; the object cannot be used afterwards. Idempotent. */
  destroy(): void {
    if (this.isClosed) return;
    this.unsettled.settle();
    this.engine.deleteRange(this.keyspace.wholeTable());
    this.isClosed = true;
    this.versions?.close();
    this.runs?.clear();
  }

  /** As many of the entries that have no result yet as fit one engine batch. */
  private applySome(entries: readonly LogEntry[], results: ApplyResult[]): void {
    const window: { index: number; command: DecodedCommand | undefined }[] = [];
    const putKeys: Buffer[] = [];
    let previous = this.meta.appliedIndex;
    let bytes = 0;
    for (let at = results.length; at < entries.length; at += 1) {
      const entry = entries[at];
      if (entry === undefined || window.length >= BATCH_ENTRIES_MAX) break;
      if (bytes > 0 && bytes + entry.data.length > BATCH_BYTES_MAX) break;
      if (entry.index <= this.meta.appliedIndex && window.length === 0) {
        results.push(appliedBefore());
        continue;
      }
      if (entry.index <= previous) throw outOfOrder(entry.index, previous);
      previous = entry.index;
      bytes += entry.data.length;
      const command = entry.data.length === 0 ? undefined : decodeCommand(entry.data);
      if (command?.kind === 'put') putKeys.push(command.key);
      window.push({ index: entry.index, command });
      // Its rows are large, and need not be known to what comes after them.
      if (command?.kind === 'fill') break;
    }
    if (window.length === 0) return;
    const { engine, keyspace, meta, versions, runs } = this;
    const batch = new ApplyBatch(engine, keyspace, meta, versions, runs, bytes);
    try {
      batch.prefetch(putKeys);
      for (const { index, command } of window) {
        results.push(command === undefined ? noCommand() : applyCommand(batch, command, index));
        batch.endRevision();
        batch.meta.appliedIndex = index;
      }
      this.unsettled.settle();
      batch.write();
    } finally {
      batch.discard();
    }
    if (batch.meta.epoch !== this.meta.epoch) this.runs?.clear();
    this.meta = batch.meta;
  }

  private readerAt(revision: number | undefined): RowReader {
    this.requireOpen();
    if (revision === undefined || revision <= 0) return this.latest;
    return new RevisionReader(this.viewAt(revision));
  }

  private viewAt(revision: number): RevisionView {
    this.requireOpen();
    if (revision > this.meta.revision) throw futureRevision(revision, this.meta);
    if (revision < this.meta.compactedRevision) throw compactedRevision(revision, this.meta);
    const { engine, keyspace, latest } = this;
    const { epoch } = this.meta;
    const newestNow = (): number => this.meta.revision;
    const isOvertaken = (): boolean =>
      this.isClosed ||
      this.keyspace !== keyspace ||
      this.meta.epoch !== epoch ||
      this.meta.compactedRevision > revision;
    return { engine, keyspace, latest, epoch, revision, newestNow, isOvertaken };
  }

  private storedMeta(keyspace: Keyspace): Meta {
    const encoded = this.engine.get(keyspace.metaKey);
    return encoded === undefined ? freshMeta() : decodeMeta(encoded);
  }

  private requireOpen(): void {
    if (this.isClosed) throw new TableError('TABLE_CLOSED', 'the table was destroyed');
  }
}

function hashRow(hasher: Hasher, row: TableRow): void {
  const head = Buffer.allocUnsafe(HASH_HEAD_BYTES);
  let at = writeUint64(head, 0, row.createRevision);
  at = writeUint64(head, at, row.modRevision);
  at = writeUint64(head, at, row.version);
  at = writeUint64(head, at, row.lease);
  at = writeUint64(head, at, row.key.length);
  writeUint64(head, at, row.value.length);
  hasher.update(head);
  hasher.update(row.key);
  hasher.update(row.value);
}

function appliedBefore(): ApplyResult {
  return { revision: 0, succeeded: false, responses: [], skipped: true };
}

function noCommand(): ApplyResult {
  return { revision: 0, succeeded: true, responses: [], skipped: false };
}

function notStaged(message: string): TableError {
  return new TableError('TABLE_NOT_STAGED', message);
}

function outOfOrder(index: number, previous: number): TableError {
  return new TableError('TABLE_ENTRY_ORDER', `entry ${index} was given after entry ${previous}`);
}

function compactedRevision(revision: number, meta: Meta): TableError {
  const message = `revision ${revision} is compacted: ${meta.compactedRevision} is the oldest`;
  return new TableError('TABLE_COMPACTED', message);
}

function futureRevision(revision: number, meta: Meta): TableError {
  const message = `revision ${revision} is in the future: ${meta.revision} is the newest`;
  return new TableError('TABLE_FUTURE_REVISION', message);
}
