/**
 * Brings one table of a cluster into a backup, whatever happens on the way.
 *
 *   stream of rows --cut--> opened again at the same revision, behind the last key
 *                  --revision gone--> begun anew at a newer one
 *   since a revision --history does not reach back--> the whole table, and why
 *
 * In: the source, the place to write to, what an earlier attempt has left. Out: the table's part of the
 * manifest. Rows of two revisions are never mixed.
 */
import { BackupError, isBackupError } from '../backup-error.js';
import { SOURCE_ATTEMPTS_MAX, SOURCE_PAUSE_MS, SOURCE_PAUSE_MS_MAX } from '../bounds.js';
import { type BackupClock } from '../clock.js';
import { type ManifestTable } from '../format/manifest.js';
import { type BackupObjects } from '../objects/backup-objects.js';
import { type SourceChunk, type SourcePosition, type TableSource } from '../ports.js';
import { findProgress, type WrittenSegment } from './table-progress.js';
import { type TableRecord, TableWriter, type WriterPlace, type Written } from './table-writer.js';

/** Of why a table is whole. */
const REASON_CHARS_MAX = 500;

export interface TableBackupParts {
  readonly objects: BackupObjects;
  readonly source: TableSource;
  readonly clock: BackupClock;
  readonly signal: AbortSignal;
  readonly place: WriterPlace;
  /** 0 for the whole table. */
  readonly sinceRevision: number;
  /** Why the whole table; empty where that needs no reason. */
  readonly wholeBecause: string;
  /** Whether an earlier attempt of this backup may have left something. */
  readonly resume: boolean;
  readonly onProgress: (written: Written) => void;
}

export async function backUpTable(parts: TableBackupParts): Promise<ManifestTable> {
  return new TableBackup(parts).run();
}

class TableBackup {
  private writer: TableWriter | undefined;
  private sinceRevision: number;
  private wholeBecause: string;
  private failures = 0;
  /** How often it was begun anew. */
  private restarts = 0;

  constructor(private readonly parts: TableBackupParts) {
    this.sinceRevision = parts.sinceRevision;
    this.wholeBecause = parts.wholeBecause;
  }

  async run(): Promise<ManifestTable> {
    const { resume, signal } = this.parts;
    if (resume) await this.resume();
    try {
      while (!this.writer?.isComplete) {
        signal.throwIfAborted();
        try {
          await this.read();
          break;
        } catch (error) {
          await this.recover(error);
        }
      }
      if (!this.writer) throw new BackupError('SOURCE_CUT', 'a table has no position');
      const table = await this.writer.finish();
      this.parts.onProgress(this.writer.written);
      return table;
    } finally {
      await this.writer?.abandon();
    }
  }

  /** Goes on where an earlier attempt was. */
  private async resume(): Promise<void> {
    const { objects, place, signal } = this.parts;
    const { backup, key, table } = place;
    const { tableId, epoch } = table;
    const progress = await findProgress(objects, { backup, table: tableId, epoch, key }, signal);
    const [first] = progress;
    if (!first) return;
    const { segment } = first;
    this.sinceRevision = segment.sinceRevision;
    this.wholeBecause = segment.wholeBecause;
    this.begin({ revision: segment.revision, appliedIndex: segment.index }, progress);
  }

  private begin(
    position: Pick<SourcePosition, 'revision' | 'appliedIndex'>,
    progress: readonly WrittenSegment[] = [],
  ): TableWriter {
    const { objects, place, signal } = this.parts;
    const { sinceRevision, wholeBecause } = this;
    const { revision, appliedIndex } = position;
    const basis = { revision, appliedIndex, sinceRevision, wholeBecause };
    this.writer = new TableWriter(objects, place, basis, signal, progress);
    return this.writer;
  }

  private async read(): Promise<void> {
    const { source, place, signal, onProgress } = this.parts;
    const request = {
      table: place.table,
      atRevision: this.writer?.basis.revision ?? 0,
      afterKey: this.writer?.lastKey,
      sinceRevision: this.sinceRevision,
    };
    let begun = false;
    for await (const chunk of source.read(request, signal)) {
      const writer = begun ? this.writer : this.accept(chunk);
      if (!writer) throw new BackupError('SOURCE_CUT', 'a table does not begin with its position');
      begun = true;
      for (const record of inOrder(chunk)) {
        const behind = writer.add(record);
        if (behind) await behind;
      }
      this.failures = 0;
      onProgress(writer.written);
    }
    if (!begun) throw new BackupError('SOURCE_CUT', 'a table ended before its position');
  }

  private accept({ position }: SourceChunk): TableWriter {
    const { table } = this.parts.place;
    if (!position) throw new BackupError('SOURCE_CUT', 'a table does not begin with its position');
    if (position.epoch !== table.epoch || position.tableId !== table.tableId) {
      throw new BackupError('TABLE_CHANGED', `table ${table.name} is not the one it was`);
    }
    if (!this.writer) return this.begin(position);
    if (position.revision === this.writer.basis.revision) return this.writer;
    const text = `table ${table.name} was given as of ${position.revision}`;
    throw new BackupError('REVISION_GONE', text);
  }

  private async recover(error: unknown): Promise<void> {
    const { clock, signal } = this.parts;
    if (signal.aborted || !isBackupError(error, 'SOURCE_CUT', 'REVISION_GONE')) throw error;
    this.failures++;
    if (error.code === 'REVISION_GONE') this.restarts++;
    if (Math.max(this.failures, this.restarts) >= SOURCE_ATTEMPTS_MAX) throw error;
    if (error.code === 'REVISION_GONE') await this.beginAnew(error);
    const pauseMs = SOURCE_PAUSE_MS * 2 ** (this.failures - 1);
    await clock.sleep(Math.min(pauseMs, SOURCE_PAUSE_MS_MAX), signal);
  }

  private async beginAnew(error: BackupError): Promise<void> {
    if (this.writer) {
      await this.writer.abandon();
      this.writer = undefined;
      return;
    }
    if (this.sinceRevision === 0) throw error;
    this.wholeBecause = `changes since ${this.sinceRevision} cannot be told: ${error.message}`;
    this.wholeBecause = this.wholeBecause.slice(0, REASON_CHARS_MAX);
    this.sinceRevision = 0;
  }
}

/** Rows and deleted keys of one chunk, by key. */
function* inOrder({ rows, deletedKeys }: SourceChunk): Generator<TableRecord> {
  let at = 0;
  for (const row of rows) {
    for (; at < deletedKeys.length; at++) {
      const key = deletedKeys[at];
      if (!key || Buffer.compare(key, row.key) > 0) break;
      yield { kind: 'deleted', key };
    }
    const { key, value, createRevision, modRevision, version } = row;
    yield { kind: 'row', key, value, createRevision, modRevision, version };
  }
  for (const key of deletedKeys.slice(at)) yield { kind: 'deleted', key };
}
