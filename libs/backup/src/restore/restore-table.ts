/**
 * Brings a table of a backup back into a cluster.
 *
 *   chain of backups --> rows, every chunk checked --> batches --> shadow --> complete: the name means it
 *
 * In: readers of the chain, the cluster, the name to restore under. Out: what the cluster says of the new
 * table. Nobody sees any of it before all of it was read, checked against the end mark, and written. Each
 * batch carries a note with the key it ends at: whoever begins with the same purpose goes on there.
 */
import { BackupError } from '../backup-error.js';
import { FILL_BYTES_MAX, FILL_ROWS_MAX } from '../bounds.js';
import { type Row, type RowRecord } from '../format/records.js';
import { type BeginOutcome, type ShadowHandle, type ShadowWriter } from '../ports.js';

export interface RestoreTarget {
  /** Name that the table is to have. */
  readonly table: string;
  /** Id of the table of that name, which is replaced; 0 if there is none. */
  readonly replacesTableId: number;
  /** What tells this restore from all others: the same again goes on with it. */
  readonly purpose: string;
  /** Gives up what another restore has begun under the name. */
  readonly replaceShadow: boolean;
  /** The rows are of it. */
  readonly revision: number;
  /** Only to see whether it can be done: what was filled is given up at the end. */
  readonly isDrill?: boolean;
}

export interface RestoreProgress {
  readonly rows: number;
  readonly bytes: number;
  /** Something was there from before. */
  readonly resumed: boolean;
}

export interface RestoredTable extends RestoreProgress {
  readonly tableId: number;
  readonly revision: number;
  readonly epoch: number;
}

export interface RestoreParts {
  readonly shadows: ShadowWriter;
  readonly signal: AbortSignal;
  /** Rows behind a key, in the order of keys. It ends only when all were given, and all were good. */
  readonly rows: (afterKey: Buffer | undefined) => AsyncIterable<readonly RowRecord[]>;
  readonly onProgress: (progress: RestoreProgress) => void;
}

interface Note {
  readonly lastKey: string;
  readonly rows: number;
  readonly bytes: number;
}

export async function restoreTable(
  parts: RestoreParts,
  target: RestoreTarget,
): Promise<RestoredTable> {
  const { shadows, signal } = parts;
  const begun = beginning(
    await shadows.begin(target.table, target.purpose, target.replaceShadow),
    target,
  );
  const filler = new Filler(parts, begun);
  for await (const rows of parts.rows(filler.lastKey)) {
    for (const row of rows) await filler.add(row);
  }
  await filler.flush();
  signal.throwIfAborted();
  const { replacesTableId, revision, isDrill = false } = target;
  const { shadow } = begun;
  if (isDrill) {
    if (!(await shadows.drop(shadow))) throw refused(target.table, 'missing');
    return { ...filler.progress, tableId: 0, revision, epoch: 0 };
  }
  const done = await shadows.complete({ shadow, replacesTableId, revision });
  if (done.kind !== 'completed') throw refused(target.table, done.kind);
  const { epoch } = done;
  return { ...filler.progress, tableId: shadow.tableId, revision: done.revision, epoch };
}

interface Begun {
  readonly shadow: ShadowHandle;
  readonly batches: number;
  readonly note: Note | undefined;
}

function beginning(outcome: BeginOutcome, { table }: RestoreTarget): Begun {
  if (outcome.kind === 'occupied') {
    const text = `table ${table} is being filled for another purpose: ${outcome.purpose}`;
    throw new BackupError('RUN_BUSY', text);
  }
  if (outcome.kind === 'local') throw refused(table, 'local');
  const { shadow, batches, note } = outcome;
  return { shadow, batches, note: note.length > 0 ? parseNote(note) : undefined };
}

class Filler {
  private rows: Row[] = [];
  private bytes = 0;
  private batch: number;
  private written: Note;
  private readonly resumed: boolean;

  constructor(
    private readonly parts: RestoreParts,
    private readonly begun: Begun,
  ) {
    this.batch = begun.batches;
    this.written = begun.note ?? { lastKey: '', rows: 0, bytes: 0 };
    this.resumed = begun.note !== undefined;
  }

  /** Where to go on behind. */
  get lastKey(): Buffer | undefined {
    return this.begun.note && Buffer.from(this.begun.note.lastKey, 'base64');
  }

  get progress(): RestoreProgress {
    const { rows, bytes } = this.written;
    return { rows, bytes, resumed: this.resumed };
  }

  async add(row: Row): Promise<void> {
    const bytes = row.key.length + row.value.length;
    const isFull = this.rows.length >= FILL_ROWS_MAX || this.bytes + bytes > FILL_BYTES_MAX;
    if (isFull) await this.flush();
    this.rows.push(row);
    this.bytes += bytes;
  }

  async flush(): Promise<void> {
    const last = this.rows.at(-1);
    if (!last) return;
    const { shadows, signal, onProgress } = this.parts;
    signal.throwIfAborted();
    const { shadow } = this.begun;
    const written: Note = {
      lastKey: last.key.toString('base64'),
      rows: this.written.rows + this.rows.length,
      bytes: this.written.bytes + this.bytes,
    };
    const note = Buffer.from(JSON.stringify(written));
    const batch = this.batch + 1;
    const outcome = await shadows.fill({ shadow, batch, rows: this.rows, note }, signal);
    if (outcome.kind !== 'written') throw refused(shadow.table, outcome.kind);
    this.batch = batch;
    this.written = written;
    this.rows = [];
    this.bytes = 0;
    onProgress(this.progress);
  }
}

function parseNote(note: Buffer): Note {
  const parsed = JSON.parse(note.toString('utf8')) as Partial<Note>;
  const { lastKey, rows, bytes } = parsed;
  if (typeof lastKey === 'string' && typeof rows === 'number' && typeof bytes === 'number') {
    return { lastKey, rows, bytes };
  }
  throw new BackupError('INVALID', 'note: what an earlier restore has left cannot be read');
}

function refused(table: string, reason: string): BackupError {
  const texts: Readonly<Record<string, string>> = {
    local: 'the name belongs to a table that is not to be replaced',
    'old-token': 'somebody else has taken this restore over',
    'out-of-order': 'batches before the last one are missing',
    'other-table': 'the name means another table than when the restore began',
    missing: 'what was filled is not there any more',
  };
  const code = reason === 'old-token' ? 'RUN_BUSY' : 'TABLE_CHANGED';
  return new BackupError(code, `table ${table}: ${texts[reason] ?? reason}`);
}
