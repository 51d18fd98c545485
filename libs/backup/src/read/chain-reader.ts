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
import { type KeyRing } from '../format/key-ring.js';
import { type Manifest, type ManifestTable } from '../format/manifest.js';
import { type RowRecord } from '../format/records.js';
import { type BackupObjects } from '../objects/backup-objects.js';
import { type TableRecord } from '../write/table-writer.js';
import { type ReadChunk, TableReader } from './table-reader.js';

/** Rows of one batch that is handed on. */
const BATCH_ROWS_MAX = 2_000;

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
    let batch: RowRecord[] = [];
    for (;;) {
      const record = await takeNext(cursors);
      if (!record) break;
      if (record.kind === 'deleted') continue;
      batch.push(record);
      if (batch.length < BATCH_ROWS_MAX) continue;
      yield batch;
      batch = [];
    }
    if (batch.length > 0) yield batch;
  } finally {
    for (const cursor of cursors) await cursor.close();
  }
}

/** The newest word on the smallest key; all older ones on it are passed over. */
async function takeNext(cursors: readonly Cursor[]): Promise<TableRecord | undefined> {
  let least: TableRecord | undefined;
  for (const { current } of cursors) {
    // Not before what an older one has: of equal keys the newest is to win.
    if (current && (!least || Buffer.compare(current.key, least.key) <= 0)) least = current;
  }
  if (!least) return undefined;
  for (const cursor of cursors) {
    if (cursor.current?.key.equals(least.key) && cursor.step()) await cursor.load();
  }
  return least;
}

class Cursor {
  private records: readonly TableRecord[] = [];
  private at = 0;

  constructor(private readonly chunks: AsyncGenerator<ReadChunk, void, undefined>) {}

  get current(): TableRecord | undefined {
    return this.records[this.at];
  }

  /** Whether more has to be loaded. */
  step(): boolean {
    return ++this.at >= this.records.length;
  }

  async load(): Promise<void> {
    this.at = 0;
    this.records = [];
    while (this.records.length === 0) {
      const next = await this.chunks.next();
      if (next.done === true) return;
      this.records = next.value.records;
    }
  }

  async close(): Promise<void> {
    await this.chunks.return(undefined);
  }
}
