/**
 * The whole state of a table at one moment, to be given away chunk by chunk.
 *
 * In: a slot of the engine. Out: chunks in order, the last one marked. What is written to the table
 * meanwhile does not show. Holds one page of rows at a time; an open view keeps old data on disk.
 */
import { type Engine, type EngineIterator } from '../engine/engine.js';
import { type Keyspace } from './keyspace.js';
import { encodeChunk } from './snapshot-chunk.js';
import { TableError } from './table-error.js';
import { type TableState } from './table-types.js';

export interface TableSnapshotChunk {
  readonly data: Buffer;
  readonly last: boolean;
}

/** Bytes of rows in a chunk; one row may be larger. */
export const SNAPSHOT_CHUNK_BYTES_MAX = 1024 * 1024;
const CHUNK_ROWS_MAX = 8_192;

export class TableSnapshot {
  private readonly rows: EngineIterator;
  private sequence = 0;
  private checksum = 0;
  private rowsTotal = 0;
  private bytesTotal = 0;
  private isDone = false;
  private isClosed = false;

  constructor(
    engine: Engine,
    private readonly keyspace: Keyspace,
    /** The table's state that this is. */
    readonly state: Readonly<TableState>,
  ) {
    this.rows = engine.iterator({
      ...keyspace.everything(),
      content: 'entries',
      pageBytesMax: SNAPSHOT_CHUNK_BYTES_MAX,
    });
  }

  /** The next chunk; undefined after the last one. Throws TableError TABLE_CLOSED once closed. */
  next(): TableSnapshotChunk | undefined {
    if (this.isClosed) throw new TableError('TABLE_CLOSED', 'the snapshot was closed');
    if (this.isDone) return undefined;
    const { items, done } = this.rows.read(CHUNK_ROWS_MAX);
    const parts = items.map((part, at) => (at % 2 === 0 ? this.keyspace.portableKey(part) : part));
    for (const part of parts) this.bytesTotal += part.length;
    this.rowsTotal += parts.length / 2;
    const totals = done ? { rows: this.rowsTotal, bytes: this.bytesTotal } : undefined;
    const { bytes, checksum } = encodeChunk(this.sequence++, parts, totals, this.checksum);
    this.checksum = checksum;
    this.isDone = done;
    return { data: bytes, last: done };
  }

  /** Idempotent. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.rows.close();
  }
}
