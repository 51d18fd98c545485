/**
 * One engine batch in the making: the state of a table with the changes of the entries so far.
 *
 * In: puts and deletes at a revision, and reads that must see them. Out: rows of an engine batch that
 * ends with the meta row. Changes are gathered per revision and kept as their net effect, so a
 * key changed several times in one Txn leaves one version; of a key changed at several revisions, the
 * live row is written once. What the rows say must depend on the commands alone, never on how
 * entries are split over batches; only how many changes lie in one row does.
 *
 *     begin(revision) -> put/delete ... -> endRevision() -> begin(next) ... -> write()
 */
import { ABSENT, type TableVersions } from '../cache/version-cache.js';
import { type TableRuns } from '../cache/range-cache.js';
import { type Engine, type EngineBatch } from '../engine/engine.js';
import { ChangeRowWriter } from './change-row.js';
import { isInRange, type Keyspace } from './keyspace.js';
import { encodeMeta, type Meta } from './meta-row.js';
import { decodeVersion, owned, Version, VersionEncoder } from './row-codec.js';
import { type CursorOptions, LatestReader, type RowCursor, type RowReader } from './row-reader.js';
import { type PlacedRow } from './table-types.js';

const NO_SCOPE = -1;

/** A key this batch has read or changed. */
class Cell {
  /** What `row` was before the revision that is open. */
  base: Version | undefined = undefined;
  /** Serial of the revision scope that touched the cell last. */
  scope = NO_SCOPE;
  /** Was changed in this batch. */
  isChanged = false;
  /** `row` is one that was written as it is: nobody has asked for it. */
  isPlaced = false;
  /** The engine holds a row of the key. */
  isStored: boolean;

  constructor(
    readonly key: Buffer,
    /** The newest version, undefined when the key does not exist. */
    public row: Version | undefined,
    /** Its row's key in the engine, once known. */
    public liveKey: Buffer | undefined,
  ) {
    this.isStored = row !== undefined;
  }
}

export class ApplyBatch implements RowReader {
  /** The state as of the changes so far; the caller takes it over after `write`. */
  readonly meta: Meta;
  private readonly latest: LatestReader;
  private readonly cells = new Map<string, Cell>();
  private readonly changed: Cell[] = [];
  private readonly rows: EngineBatch;
  private readonly history: ChangeRowWriter;
  private readonly encoder = new VersionEncoder();
  /** Keys that are expected to change next, in this order, and their cells. */
  private expectedKeys: readonly Buffer[] = [];
  private expectedCells: Cell[] = [];
  private expectedAt = 0;
  private touched: Cell[] = [];
  private scope = 0;
  /** Revision that is open; undefined between revisions. */
  private revision: number | undefined = undefined;
  private keepsHistory = true;
  /** Rows are in it that no read of this batch would find. */
  private isUnread = false;

  constructor(
    private readonly engine: Engine,
    private readonly keyspace: Keyspace,
    meta: Meta,
    /** Versions kept in memory; told of every change once it is written. */
    private readonly versions?: TableVersions,
    /** The same of ranges. */
    private readonly runs?: TableRuns,
    /** Bytes of the entries that will be applied: versions they supersede are of about that size. */
    bytesHint = 0,
  ) {
    this.meta = { ...meta };
    this.latest = new LatestReader(engine, keyspace, versions);
    this.rows = engine.batch();
    this.history = new ChangeRowWriter((place, row) => {
      this.rows.put(keyspace.changeKey(place), row);
    }, bytesHint);
  }

  /**
   * Finds the given keys, with one call for all that the engine is needed for. They are found at once
   * if they change in this order, given as the same objects.
   */
  prefetch(keys: readonly Buffer[]): void {
    this.requireKnown();
    const missing: Cell[] = [];
    const missingKeys: Buffer[] = [];
    const cells: Cell[] = [];
    for (const key of keys) {
      const name = cellName(key);
      let cell = this.cells.get(name);
      if (cell === undefined) {
        const kept = this.versions?.get(key);
        cell = this.addCell(name, key, kept === ABSENT ? undefined : kept);
        if (kept === undefined) {
          const liveKey = this.keyspace.liveKey(key);
          cell.liveKey = liveKey;
          missing.push(cell);
          missingKeys.push(liveKey);
        }
      }
      cells.push(cell);
    }
    this.expectedKeys = keys;
    this.expectedCells = cells;
    this.expectedAt = 0;
    if (missing.length === 0) return;
    // Rows that fill a table come in the order of keys: one look finds that none of them is there.
    if (this.meta.fill !== undefined && this.endsBefore(leastOf(missing))) return;
    const found = this.engine.getMany(missingKeys);
    for (let at = 0; at < missing.length; at++) {
      const cell = missing[at];
      const encoded = found[at];
      if (cell === undefined || encoded === undefined) continue;
      cell.row = decodeVersion(encoded);
      cell.isStored = true;
    }
  }

  /** Whether the engine has no row at this key, and none behind it. */
  private endsBefore(key: Buffer | undefined): boolean {
    if (!key) return true;
    const range = this.keyspace.liveRange({ start: key, end: undefined });
    const iterator = this.engine.iterator({ ...range, content: 'keys' });
    try {
      return iterator.read(1).items.length === 0;
    } finally {
      iterator.close();
    }
  }

  /** Remembers a row that a cursor of this batch gave, so that it is not read again. */
  adopt(row: Version): void {
    const name = cellName(row.key);
    if (!this.cells.has(name)) this.addCell(name, row.key, row);
  }

  get(key: Uint8Array): Version | undefined {
    this.requireKnown();
    const cell = this.cells.get(cellName(key));
    if (cell === undefined) return this.latest.get(key);
    return cell.row && owned(cell.row);
  }

  open(options: CursorOptions): RowCursor {
    this.requireKnown();
    const changed = this.changed.filter((cell) => isInRange(cell.key, options.range));
    const stored = this.latest.open(options);
    if (changed.length === 0) return stored;
    changed.sort((one, other) => Buffer.compare(one.key, other.key));
    // Cells change later on; the cursor shows this moment.
    const snapshot = changed.map(({ key, row }) => {
      if (row === undefined) return { key, row };
      return { key, row: options.keysOnly ? Version.ofKey(owned(row).key) : owned(row) };
    });
    return overlaid(stored, snapshot);
  }

  /**
   * Opens a revision, or goes on with the one that is open. A revision that is not above the newest
   * one starts the next epoch: numbering has begun anew.
   */
  begin(revision: number): void {
    if (this.revision === revision) return;
    this.endRevision();
    if (revision <= this.meta.revision) this.startEpoch();
    this.revision = revision;
    this.meta.revision = revision;
    this.scope += 1;
  }

  /** Starts numbering anew; versions that exist count as older than every new revision. */
  startEpoch(): void {
    this.endRevision();
    this.meta.epoch += 1;
    this.meta.revision = 0;
    this.meta.compactedRevision = 0;
  }

  /** Returns the version that was replaced; it may still lie in the entry that put it. */
  put(key: Buffer, value: Buffer): Version | undefined {
    const revision = this.requireRevision();
    const cell = this.cellOf(key);
    this.touch(cell);
    cell.isPlaced = false;
    const previous = cell.row;
    cell.row = new Version(
      cell.key,
      value,
      previous === undefined ? revision : previous.createRevision,
      revision,
      previous === undefined ? 1 : previous.version + 1,
      0,
      this.meta.epoch,
    );
    return previous;
  }

  /** Returns the version that was deleted; it may still lie in the entry that put it. */
  delete(key: Buffer): Version | undefined {
    this.requireRevision();
    const cell = this.cellOf(key);
    const existing = cell.row;
    if (existing === undefined) return undefined;
    this.touch(cell);
    cell.row = undefined;
    return existing;
  }

  /**
   * Writes a row as it is: what was there is gone without a trace. No read at a revision may ever reach
   * back before it.
   */
  place(row: PlacedRow): void {
    this.endRevision();
    const { meta } = this;
    const { key } = row;
    const cell = this.cellOf(key);
    if (cell.row !== undefined) {
      meta.keys -= 1;
      meta.liveBytes -= key.length + cell.row.value.length;
    }
    cell.row = this.placed(row);
    cell.isPlaced = true;
    if (cell.isChanged) return;
    cell.isChanged = true;
    this.changed.push(cell);
  }

  /**
   * The same of rows that come in the order of keys, all of them behind what there is: nothing is asked for
   * each, and nothing kept of it. False, and nothing done, if they do not lie like that, or if something in
   * this batch was read or changed. The batch can only be written afterwards: it knows nothing of them.
   */
  placeBehindAll(rows: readonly PlacedRow[]): boolean {
    const first = rows[0];
    if (first === undefined || this.cells.size > 0 || !isAscending(rows)) return false;
    this.endRevision();
    if (!this.endsBefore(first.key)) return false;
    for (const row of rows) {
      this.rows.put(this.keyspace.liveKey(row.key), this.encoder.encode(this.placed(row)));
    }
    this.isUnread = true;
    return true;
  }

  /**
   * What is changed until the end of `run` supersedes versions without a trace. No read at a revision may
   * ever reach back before it.
   */
  withoutHistory(run: () => void): void {
    this.endRevision();
    this.keepsHistory = false;
    run();
    this.endRevision();
    this.keepsHistory = true;
  }

  /** Takes the net effect of the open revision. */
  endRevision(): void {
    const { revision, touched } = this;
    if (revision === undefined) return;
    this.revision = undefined;
    if (touched.length === 0) return;
    if (touched.length > 1) touched.sort(byKey);
    for (const cell of touched) this.settle(cell, revision);
    this.touched = [];
  }

  /** Makes all changes visible, with the state they lead to. */
  write(): void {
    this.endRevision();
    for (const cell of this.changed) this.writeLive(cell);
    this.history.flush();
    this.rows.put(this.keyspace.metaKey, encodeMeta(this.meta));
    try {
      this.rows.write();
    } catch (error) {
      // Nobody knows what of it the engine holds.
      this.versions?.clear();
      this.runs?.clear();
      throw error;
    }
    if (this.isUnread) {
      this.versions?.clear();
      this.runs?.clear();
      return;
    }
    if (this.versions !== undefined) this.keep(this.versions);
    if (this.runs?.isEmpty === false) this.noteChanges(this.runs);
  }

  /** Gives the changes up. */
  discard(): void {
    this.rows.close();
  }

  /** What was put may be read soon; what was deleted, or comes with a whole table, is only forgotten. */
  private keep(versions: TableVersions): void {
    for (const { key, row, isPlaced } of this.changed) {
      if (row === undefined || isPlaced) versions.drop(key);
      else versions.set(key, row);
    }
  }

  private noteChanges(runs: TableRuns): void {
    for (const { key } of this.changed) runs.changed(key);
  }

  /** The row as a version, counted in. */
  private placed({ key, value, createRevision, modRevision, version }: PlacedRow): Version {
    const { meta } = this;
    meta.keys += 1;
    meta.liveBytes += key.length + value.length;
    meta.revision = Math.max(meta.revision, modRevision);
    return new Version(key, value, createRevision, modRevision, version, 0, meta.epoch);
  }

  private settle(cell: Cell, revision: number): void {
    const { base, row, key } = cell;
    if (base === undefined && row === undefined) return;
    const { meta } = this;
    if (base !== undefined) {
      meta.keys -= 1;
      meta.liveBytes -= key.length + base.value.length;
    }
    if (row !== undefined) {
      meta.keys += 1;
      meta.liveBytes += key.length + row.value.length;
    }
    if (!this.keepsHistory) return;
    if (base !== undefined) {
      meta.historyRows += 1;
      meta.supersededTotal += 1;
    }
    this.history.add(meta.epoch, revision, {
      key,
      isPut: row !== undefined,
      superseded: base,
      total: meta.supersededTotal,
    });
  }

  private writeLive(cell: Cell): void {
    const { row } = cell;
    if (row === undefined && !cell.isStored) return;
    const liveKey = cell.liveKey ?? this.keyspace.liveKey(cell.key);
    if (row === undefined) this.rows.del(liveKey);
    else this.rows.put(liveKey, this.encoder.encode(row));
  }

  /** Keeps what a cell that is about to change held before this revision. */
  private touch(cell: Cell): void {
    if (cell.scope === this.scope) return;
    cell.scope = this.scope;
    cell.base = cell.row;
    this.touched.push(cell);
    if (cell.isChanged) return;
    cell.isChanged = true;
    this.changed.push(cell);
  }

  private cellOf(key: Buffer): Cell {
    this.requireKnown();
    const { expectedAt } = this;
    if (this.expectedKeys[expectedAt] === key) {
      const expected = this.expectedCells[expectedAt];
      this.expectedAt = expectedAt + 1;
      if (expected !== undefined) return expected;
    }
    const name = cellName(key);
    return this.cells.get(name) ?? this.addCell(name, key, this.latest.get(key));
  }

  private addCell(name: string, key: Buffer, row: Version | undefined): Cell {
    const cell = new Cell(key, row, undefined);
    this.cells.set(name, cell);
    return cell;
  }

  private requireKnown(): void {
    if (this.isUnread) throw new Error('a batch with rows that it does not know is only written');
  }

  private requireRevision(): number {
    if (this.revision === undefined) throw new Error('a change outside of a revision');
    return this.revision;
  }
}

function isAscending(rows: readonly PlacedRow[]): boolean {
  let last: Buffer | undefined;
  for (const { key } of rows) {
    if (last !== undefined && Buffer.compare(last, key) >= 0) return false;
    last = key;
  }
  return true;
}

function leastOf(cells: readonly Cell[]): Buffer | undefined {
  let least: Buffer | undefined;
  for (const { key } of cells) if (!least || Buffer.compare(key, least) < 0) least = key;
  return least;
}

function byKey(one: Cell, other: Cell): number {
  return Buffer.compare(one.key, other.key);
}

/** One character per byte: distinct keys have distinct names. */
function cellName(key: Uint8Array): string {
  const view = Buffer.isBuffer(key) ? key : Buffer.from(key.buffer, key.byteOffset, key.length);
  return view.toString('latin1');
}

interface OverlaidKey {
  key: Buffer;
  row: Version | undefined;
}

/** The stored rows with those of the overlay in place of, between or instead of them. */
function overlaid(stored: RowCursor, overlay: readonly OverlaidKey[]): RowCursor {
  let at = 0;
  let pending = stored.next();
  return {
    next() {
      for (;;) {
        const over = overlay[at];
        const order =
          over === undefined
            ? -1
            : pending === undefined
              ? 1
              : Buffer.compare(pending.key, over.key);
        if (over === undefined || order < 0) {
          const row = pending;
          if (row !== undefined) pending = stored.next();
          return row;
        }
        if (order === 0) pending = stored.next();
        at += 1;
        if (over.row !== undefined) return over.row;
      }
    },
    close: () => stored.close(),
  };
}
