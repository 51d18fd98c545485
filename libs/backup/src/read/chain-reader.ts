/**
 * A table as a chain of backups has it: the full one with all that was added, merged by key.
 *
 *   full        a b c d e
 *   + changes     b'  -d    f        --> a b' c e f
 *   + changes   -a      e'           -->   b' c e' f
 *
 * In: readers from the oldest to the newest. Out: rows in the order of keys, batch by batch. Of a key the
 * newest word counts; a deleted one is not there. Memory: two chunks for each link of the chain.
 */
import { BackupError } from '../backup-error.js';
import { type ChunkRecords } from '../format/chunk-records.js';
import { type KeyRing } from '../format/key-ring.js';
import { type Manifest, type ManifestTable } from '../format/manifest.js';
import { type RowRecord } from '../format/records.js';
import { type BackupObjects } from '../objects/backup-objects.js';
import { type TableRecord } from '../write/table-writer.js';
import { type ReadChunk, TableReader } from './table-reader.js';

/** Rows of one batch that is handed on. */
const BATCH_ROWS_MAX = 2_000;
/** Keys and values of one, but for its last row: what waits in it holds whole chunks in memory. */
const BATCH_BYTES_MAX = 1024 * 1024;

/** Readers of a table in all backups of a chain that have a part in it, from its full copy on. */
export function readersOf(
  chain: readonly Manifest[],
  table: ManifestTable,
  objects: BackupObjects,
  keys: KeyRing,
): readonly TableReader[] {
  const readers: TableReader[] = [];
  let due: number | undefined;
  for (const manifest of chain.toReversed()) {
    const part = manifest.tables.find(({ tableId }) => tableId === table.tableId);
    if (!part || part.epoch !== table.epoch) break;
    if (due !== undefined && part.revision !== due) break;
    readers.unshift(new TableReader(objects, manifest, part, keys));
    if (part.sinceRevision === 0) return readers;
    due = part.sinceRevision;
  }
  const text = `table ${table.name}: its chain of backups has a gap before revision ${due ?? 0}`;
  throw new BackupError('BACKUP_DAMAGED', text);
}

export async function* readChain(
  readers: readonly TableReader[],
  signal: AbortSignal,
  afterKey?: Buffer,
): AsyncGenerator<readonly RowRecord[], void, undefined> {
  const cursors = readers.map((reader) => new Cursor(reader.chunks(signal, afterKey)));
  try {
    for (const cursor of cursors) await cursor.load();
    let bytes = 0;
    let batch: RowRecord[] = [];
    for (;;) {
      const record = leastOf(cursors);
      if (!record) break;
      // Once a chunk, not once a row.
      const behind = passOver(cursors, record);
      if (behind) await behind;
      if (record.kind === 'deleted') continue;
      batch.push(record);
      bytes += record.key.length + record.value.length;
      if (batch.length < BATCH_ROWS_MAX && bytes < BATCH_BYTES_MAX) continue;
      yield batch;
      batch = [];
      bytes = 0;
    }
    if (batch.length > 0) yield batch;
  } finally {
    for (const cursor of cursors) await cursor.close();
  }
}

/** The newest word on the smallest key. */
function leastOf(cursors: readonly Cursor[]): TableRecord | undefined {
  let least: TableRecord | undefined;
  for (const { current } of cursors) {
    // Not before what an older one has: of equal keys the newest is to win.
    if (current && (!least || Buffer.compare(current.key, least.key) <= 0)) least = current;
  }
  return least;
}

/** All words on the key are passed over; a promise where one of them was the last that is here. */
function passOver(cursors: readonly Cursor[], least: TableRecord): Promise<void> | undefined {
  let isShort = false;
  for (const cursor of cursors) {
    const { current } = cursor;
    if (current !== least && !current?.key.equals(least.key)) continue;
    if (cursor.step()) isShort = true;
  }
  return isShort ? loadShort(cursors) : undefined;
}

async function loadShort(cursors: readonly Cursor[]): Promise<void> {
  for (const cursor of cursors) if (cursor.isShort) await cursor.load();
}

class Cursor {
  private records: ChunkRecords | undefined;
  private atEnd = false;

  constructor(private readonly chunks: AsyncGenerator<ReadChunk, void, undefined>) {}

  get current(): TableRecord | undefined {
    return this.records?.current;
  }

  /** Whether more has to be loaded before `current` means anything. */
  get isShort(): boolean {
    return !this.atEnd && this.current === undefined;
  }

  step(): boolean {
    this.records?.step();
    return this.isShort;
  }

  async load(): Promise<void> {
    this.records = undefined;
    while (this.isShort) {
      const next = await this.chunks.next();
      if (next.done === true) this.atEnd = true;
      else this.records = next.value.records;
    }
  }

  async close(): Promise<void> {
    await this.chunks.return(undefined);
  }
}
