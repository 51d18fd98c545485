/**
 * One engine batch in the making: the state of a table with the changes of the entries so far.
 *
 * In: puts and deletes at a revision, and reads that must see them. Out: rows of an engine batch that
 * ends with the meta row. Changes are gathered per revision and written as their net effect, so a
 * key changed several times in one Txn leaves one version. Which rows come out must depend on the
 * commands alone, never on how entries are split over batches.
 *
 *     begin(revision) -> put/delete ... -> endRevision() -> begin(next) ... -> write()
 */
import { ABSENT, type TableVersions } from '../cache/version-cache.js';
import { type Engine, type EngineBatch } from '../engine/engine.js';
import { isInRange, type Keyspace } from './keyspace.js';
import {
  decodeVersion,
  encodeKeyChanges,
  encodeMeta,
  encodeSuperseded,
  encodeVersion,
  INDEX_ROW_BYTES_MAX,
  type KeyChange,
  keyChangeSize,
  type Meta,
  Version,
} from './row-codec.js';
import { type CursorOptions, LatestReader, type RowCursor, type RowReader } from './row-reader.js';

/** A key this batch has read or changed. */
interface Cell {
  key: Buffer;
  /** The newest version, undefined when the key does not exist. */
  row: Version | undefined;
  /** What `row` was before the revision that is open. */
  base: Version | undefined;
  /** Serial of the revision scope that touched the cell last. */
  scope: number;
  /** Differs from what the engine holds. */
  isChanged: boolean;
}

const NO_SCOPE = -1;

export class ApplyBatch implements RowReader {
  /** The state as of the changes so far; the caller takes it over after `write`. */
  readonly meta: Meta;
  private readonly latest: LatestReader;
  private readonly cells = new Map<string, Cell>();
  private readonly rows: EngineBatch;
  private touched: Cell[] = [];
  private scope = 0;
  /** Revision that is open; undefined between revisions. */
  private revision: number | undefined = undefined;

  constructor(
    private readonly engine: Engine,
    private readonly keyspace: Keyspace,
    meta: Meta,
    /** Versions kept in memory; told of every change once it is written. */
    private readonly versions?: TableVersions,
  ) {
    this.meta = { ...meta };
    this.latest = new LatestReader(engine, keyspace, versions);
    this.rows = engine.batch();
  }

  /** Finds the given keys, with one call for all that the engine is needed for. */
  prefetch(keys: readonly Buffer[]): void {
    const missing: Cell[] = [];
    const missingKeys: Buffer[] = [];
    for (const key of keys) {
      const name = cellName(key);
      if (this.cells.has(name)) continue;
      const kept = this.versions?.get(key);
      const cell = this.addCell(name, key, kept === ABSENT ? undefined : kept);
      if (kept !== undefined) continue;
      missing.push(cell);
      missingKeys.push(this.keyspace.liveKey(key));
    }
    if (missing.length === 0) return;
    const found = this.engine.getMany(missingKeys);
    for (let at = 0; at < missing.length; at++) {
      const [cell, encoded] = [missing[at], found[at]];
      if (cell !== undefined && encoded !== undefined) cell.row = decodeVersion(encoded);
    }
  }

  /** Remembers a row that a cursor of this batch gave, so that it is not read again. */
  adopt(row: Version): void {
    const name = cellName(row.key);
    if (!this.cells.has(name)) this.addCell(name, row.key, row);
  }

  get(key: Uint8Array): Version | undefined {
    const cell = this.cells.get(cellName(key));
    return cell === undefined ? this.latest.get(key) : cell.row;
  }

  open(options: CursorOptions): RowCursor {
    const changed: Cell[] = [];
    for (const cell of this.cells.values()) {
      if (cell.isChanged && isInRange(cell.key, options.range)) changed.push(cell);
    }
    const stored = this.latest.open(options);
    if (changed.length === 0) return stored;
    changed.sort((one, other) => Buffer.compare(one.key, other.key));
    // Cells change later on; the cursor shows this moment.
    const snapshot = changed.map(({ key, row }) => ({
      key,
      row: row !== undefined && options.keysOnly ? Version.ofKey(key) : row,
    }));
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

  /** Returns the version that was replaced. */
  put(key: Buffer, value: Buffer): Version | undefined {
    const revision = this.requireRevision();
    const cell = this.touch(key);
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

  /** Returns the version that was deleted. */
  delete(key: Buffer): Version | undefined {
    this.requireRevision();
    const existing = this.cellOf(key).row;
    if (existing !== undefined) this.touch(key).row = undefined;
    return existing;
  }

  /** Writes the net effect of the open revision into the batch. */
  endRevision(): void {
    const { revision } = this;
    if (revision === undefined) return;
    let changes: KeyChange[] = [];
    let changesBytes = 0;
    let chunk = 0;
    for (const cell of this.touched) {
      const change = this.settle(cell, revision);
      if (change === undefined) continue;
      const size = keyChangeSize(change);
      if (changes.length > 0 && changesBytes + size > INDEX_ROW_BYTES_MAX) {
        this.writeIndexRow(revision, chunk, changes);
        changes = [];
        changesBytes = 0;
        chunk += 1;
      }
      changes.push(change);
      changesBytes += size;
    }
    if (changes.length > 0) this.writeIndexRow(revision, chunk, changes);
    this.touched = [];
    this.revision = undefined;
  }

  /** Makes all changes visible, with the state they lead to. */
  write(): void {
    this.endRevision();
    this.rows.put(this.keyspace.metaKey, encodeMeta(this.meta));
    try {
      this.rows.write();
    } catch (error) {
      // Nobody knows what of it the engine holds.
      this.versions?.clear();
      throw error;
    }
    if (this.versions !== undefined) this.keep(this.versions);
  }

  /** Gives the changes up. */
  discard(): void {
    this.rows.close();
  }

  /** What was put may be read soon; what was deleted is only forgotten. */
  private keep(versions: TableVersions): void {
    for (const { key, row, isChanged } of this.cells.values()) {
      if (!isChanged) continue;
      if (row === undefined) versions.drop(key);
      else versions.set(key, row);
    }
  }

  private settle(cell: Cell, revision: number): KeyChange | undefined {
    const { base, row, key } = cell;
    if (base === undefined && row === undefined) return undefined;
    const { meta } = this;
    let supersededRevision: number | undefined;
    if (base !== undefined) {
      supersededRevision = base.epoch < meta.epoch ? 0 : base.modRevision;
      const historyKey = this.keyspace.historyKey(meta.epoch, key, supersededRevision);
      this.rows.put(historyKey, encodeSuperseded(base, revision));
      meta.historyRows += 1;
      meta.keys -= 1;
      meta.liveBytes -= key.length + base.value.length;
    }
    if (row === undefined) {
      this.rows.del(this.keyspace.liveKey(key));
    } else {
      this.rows.put(this.keyspace.liveKey(key), encodeVersion(row));
      meta.keys += 1;
      meta.liveBytes += key.length + row.value.length;
    }
    return { key, isPut: row !== undefined, supersededRevision };
  }

  private writeIndexRow(revision: number, chunk: number, changes: readonly KeyChange[]): void {
    const key = this.keyspace.indexKey(this.meta.epoch, revision, chunk);
    this.rows.put(key, encodeKeyChanges(changes));
  }

  /** The cell of a key about to change, with what it held before this revision kept aside. */
  private touch(key: Buffer): Cell {
    const cell = this.cellOf(key);
    if (cell.scope !== this.scope) {
      cell.scope = this.scope;
      cell.base = cell.row;
      cell.isChanged = true;
      this.touched.push(cell);
    }
    return cell;
  }

  private cellOf(key: Buffer): Cell {
    const name = cellName(key);
    return this.cells.get(name) ?? this.addCell(name, key, this.latest.get(key));
  }

  private addCell(name: string, key: Buffer, row: Version | undefined): Cell {
    const cell: Cell = { key, row, base: undefined, scope: NO_SCOPE, isChanged: false };
    this.cells.set(name, cell);
    return cell;
  }

  private requireRevision(): number {
    if (this.revision === undefined) throw new Error('a change outside of a revision');
    return this.revision;
  }
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
