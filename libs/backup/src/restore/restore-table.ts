/**
 * Brings a table of a backup back into a cluster.
 *
 *   chain of backups --> rows, every chunk checked --\
 *   shipped log      --> commands behind them        --> batches --> shadow --> complete: the name means it
 *
 * In: readers of the chain and of the log, the cluster, the name to restore under. Out: what the cluster says
 * of the new table. Nobody sees any of it before all of it was read, checked and written. Each batch carries
 * a note with how far it is: whoever begins with the same purpose goes on there. What is damaged is given up.
 */
import { BackupError, isBackupError } from '../backup-error.js';
import { type EntryRecord, type RowRecord } from '../format/records.js';
import { type BeginOutcome, type ShadowHandle, type ShadowWriter } from '../ports.js';
import { Filler, type FillNote, parseNote } from './filler.js';
import { refused } from './refused.js';

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
  /** Entries of the log behind those, the first one behind a revision if one is given. Absent: none. */
  readonly entries?: (afterRevision: number | undefined) => AsyncIterable<readonly EntryRecord[]>;
  readonly onProgress: (progress: RestoreProgress) => void;
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
  await fill(parts, begun, filler);
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

/** Rows, then commands; what cannot become a table any more is not left behind. */
async function fill(
  { shadows, rows, entries }: RestoreParts,
  { shadow }: Begun,
  filler: Filler,
): Promise<void> {
  try {
    if (filler.revision === undefined) {
      for await (const some of rows(filler.lastKey)) {
        for (const row of some) {
          const behind = filler.add(row);
          if (behind) await behind;
        }
      }
      await filler.flush();
    }
    for await (const some of entries?.(filler.revision) ?? []) {
      for (const entry of some) await filler.addEntry(entry);
    }
    await filler.flush();
  } catch (error) {
    await filler.abandon();
    if (isBackupError(error, 'BACKUP_DAMAGED')) await shadows.drop(shadow);
    throw error;
  }
}

interface Begun {
  readonly shadow: ShadowHandle;
  readonly batches: number;
  readonly note: FillNote | undefined;
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
