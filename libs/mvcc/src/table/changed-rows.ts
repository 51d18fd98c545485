/**
 * What changed between two revisions, as rows and deleted keys, in the order of keys.
 *
 *   scan of the span --> keys --sorted--> key by key: undone since the later revision? as it was
 *                                                     \--else--> the live row, or deleted
 *
 * In: two revisions whose history is there. Out: pages, a piece at a time, while others write on. What is written
 * after the later revision is undone again for the keys that are still to come: its changes are read as they
 * are made, each once, before a live row is looked at. If history is given up meanwhile, it throws.
 */
import { ChangeScan } from './change-scan.js';
import { CHANGED_BYTES_MAX, CHANGED_KEYS_MAX, ChangedKeys } from './changed-keys.js';
import { type RevisionView } from './revision-reader.js';
import { decodeVersion, type Version } from './row-codec.js';
import { TableError } from './table-error.js';
import { type ChangesIterator, type ChangesSlice, type MayGoOn } from './table-types.js';

/** Bounds of what is gathered. */
export interface ChangesBounds {
  readonly keysMax: number;
  readonly bytesMax: number;
  /** Bytes of rows that are kept because they were written again after the later revision. */
  readonly undoneBytesMax: number;
}

export const CHANGES_BOUNDS: ChangesBounds = {
  keysMax: CHANGED_KEYS_MAX,
  bytesMax: CHANGED_BYTES_MAX,
  undoneBytesMax: CHANGED_BYTES_MAX,
};

/** So many rows, or changes, are looked at before it is asked again whether there is time. */
const UNASKED_MAX = 32;
const UNASKED_BYTES_MAX = 64 * 1024;

export interface ChangedRowsQuery {
  readonly since: number;
  readonly afterKey: Uint8Array;
  readonly pageBytesMax: number;
}

export class ChangedRows implements ChangesIterator {
  private readonly keys: ChangedKeys;
  private readonly undone: UndoneRows;
  /** Of the span; undefined once all keys are known. */
  private scan: ChangeScan | undefined;
  private isClosed = false;
  /** Of the page that is being gathered. */
  private pageBytes = 0;

  constructor(
    private readonly view: RevisionView,
    private readonly query: ChangedRowsQuery,
    bounds: ChangesBounds = CHANGES_BOUNDS,
  ) {
    const { engine, keyspace, epoch, revision } = view;
    const { afterKey, since } = query;
    const after = afterKey.length === 0 ? undefined : Buffer.from(afterKey).toString('latin1');
    this.keys = new ChangedKeys(after, revision, bounds);
    this.undone = new UndoneRows(view, this.keys, bounds.undoneBytesMax);
    // A row is found by its last revision, which may lie beyond the span.
    const span = { epoch, after: since, upTo: view.newestNow() };
    this.scan = new ChangeScan(engine, keyspace, span);
  }

  slice(mayGoOn: MayGoOn): ChangesSlice | undefined {
    if (this.isClosed) return undefined;
    const slice: ChangesSlice = { rows: [], deletedKeys: [], more: true, isLast: false };
    if (!this.knowsKeys(mayGoOn)) return slice;
    let unasked = 0;
    let unaskedBytes = 0;
    for (let key = this.keys.peek(); key !== undefined; key = this.keys.peek()) {
      if (!this.undone.follow(mayGoOn)) return slice;
      const row = this.rowOf(key);
      const bytes = key.length + (row?.value.length ?? 0);
      if (this.pageBytes > 0 && this.pageBytes + bytes > this.query.pageBytesMax) {
        this.pageBytes = 0;
        return { ...slice, isLast: true };
      }
      if (row) slice.rows.push(row);
      else slice.deletedKeys.push(Buffer.from(key, 'latin1'));
      this.keys.pass();
      this.undone.forget(key);
      this.pageBytes += Math.max(1, bytes);
      unaskedBytes += bytes;
      if (++unasked % UNASKED_MAX !== 0 && unaskedBytes < UNASKED_BYTES_MAX) continue;
      unaskedBytes = 0;
      if (!mayGoOn()) return slice;
    }
    this.close();
    return { ...slice, more: false, isLast: true };
  }

  close(): void {
    this.isClosed = true;
    this.scan?.close();
    this.undone.close();
  }

  private knowsKeys(mayGoOn: MayGoOn): boolean {
    if (this.scan === undefined) return true;
    if (!this.keys.gather(this.scan, mayGoOn)) return false;
    this.scan.close();
    this.scan = undefined;
    return mayGoOn();
  }

  private rowOf(key: string): Version | undefined {
    const undo = this.undone.get(key);
    if (undo !== undefined) return undo.row;
    const { engine, keyspace } = this.view;
    const encoded = engine.get(keyspace.liveKey(Buffer.from(key, 'latin1')));
    return encoded === undefined ? undefined : decodeVersion(encoded);
  }
}

/** Rows of keys that are still to come, as they were before they were written again. */
class UndoneRows {
  private readonly rows = new Map<string, { readonly row: Version | undefined }>();
  private bytes = 0;
  private scan: ChangeScan | undefined;
  /** Up to which revision the running scan goes, and all that was read before goes. */
  private scanning: number;
  private known: number;

  constructor(
    private readonly view: RevisionView,
    private readonly wanted: Pick<ChangedKeys, 'has'>,
    private readonly bytesMax: number,
  ) {
    this.known = view.revision;
    this.scanning = view.revision;
  }

  get(key: string): { readonly row: Version | undefined } | undefined {
    return this.rows.get(key);
  }

  forget(key: string): void {
    const undo = this.rows.get(key);
    if (undo === undefined) return;
    this.bytes -= bytesOf(undo.row);
    this.rows.delete(key);
  }

  /** True once all that is written is known; live rows may then be looked at, in the same tick. */
  follow(mayGoOn: MayGoOn): boolean {
    const { engine, keyspace, epoch, isOvertaken, newestNow, revision } = this.view;
    if (isOvertaken()) {
      const text = `revision ${revision} was given up while it was read`;
      throw new TableError('TABLE_COMPACTED', text);
    }
    for (;;) {
      if (this.scan === undefined) {
        if (newestNow() === this.known) return true;
        this.scanning = newestNow();
        const span = { epoch, after: this.known, upTo: this.scanning };
        this.scan = new ChangeScan(engine, keyspace, span);
      }
      if (!this.read(this.scan, mayGoOn)) return false;
      this.scan.close();
      this.scan = undefined;
      this.known = this.scanning;
    }
  }

  close(): void {
    this.scan?.close();
    this.scan = undefined;
    this.rows.clear();
  }

  private read(scan: ChangeScan, mayGoOn: MayGoOn): boolean {
    for (let looked = 1; ; looked++) {
      const change = scan.next();
      if (change === undefined) return true;
      const key = change.keyName();
      // The first change after the revision tells what there was.
      if (this.wanted.has(key) && !this.rows.has(key)) this.add(key, copyOf(change.superseded()));
      if (looked % UNASKED_MAX === 0 && !mayGoOn()) return false;
    }
  }

  private add(key: string, row: Version | undefined): void {
    this.rows.set(key, { row });
    this.bytes += bytesOf(row);
    if (this.bytes <= this.bytesMax) return;
    const text = `more than ${this.bytesMax} bytes were written again while changes were read`;
    throw new TableError('TABLE_CHANGES_TOO_MANY', text);
  }
}

/** Views would keep whole rows of changes in memory. */
function copyOf(row: Version | undefined): Version | undefined {
  if (row === undefined) return undefined;
  row.key = Buffer.from(row.key);
  row.value = Buffer.from(row.value);
  return row;
}

function bytesOf(row: Version | undefined): number {
  return row === undefined ? 0 : row.key.length + row.value.length;
}
