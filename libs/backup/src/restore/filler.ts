/**
 * Rows and commands of a restore, as numbered batches of bounded size.
 *
 *   rows, by key --> batches --> entries of the log, by revision --> batches
 *
 * In: what is to be written, one after the other, and how far an earlier restore came. Out: batches, each with
 * a note of where it ends. Two are on their way while the next one is gathered and made ready: what the app and
 * the node do overlaps, and the order is kept. A batch is given up only when the cluster has it, and none is left out.
 */
import { BackupError } from '../backup-error.js';
import { FILL_BYTES_MAX, FILL_COMMANDS_MAX, FILL_ROWS_MAX, FILLS_UNDERWAY_MAX } from '../bounds.js';
import { type EntryRecord, type Row } from '../format/records.js';
import { type LogEntry, type ReadyBatch, type ShadowHandle, type ShadowWriter } from '../ports.js';
import { refused } from './refused.js';
import { type RestoreProgress } from './restore-table.js';

/** What the last batch has left: all rows are there once it tells a revision. */
export interface FillNote {
  readonly lastKey: string;
  readonly rows: number;
  readonly bytes: number;
  readonly revision?: number;
}

export interface FillerParts {
  readonly shadows: Pick<ShadowWriter, 'ready'>;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: RestoreProgress) => void;
}

export interface Filled {
  readonly shadow: ShadowHandle;
  readonly batches: number;
  readonly note: FillNote | undefined;
}

/** Made ready, and what will have been written with it. */
interface Ready {
  readonly batch: ReadyBatch;
  readonly note: FillNote;
}

/** What one batch holds. */
interface Gathered {
  readonly rows: Row[];
  readonly commands: LogEntry[];
  bytes: number;
}

export class Filler {
  private gathered: Gathered = { rows: [], commands: [], bytes: 0 };
  /** On their way, the first of them first. */
  private underway: Promise<void>[] = [];
  private hasFailed = false;
  /** Of batches that were made ready. */
  private batches: number;
  /** As of the last one of them. */
  private planned: FillNote;
  private written: FillNote;
  private readonly resumed: boolean;

  constructor(
    private readonly parts: FillerParts,
    private readonly filled: Filled,
  ) {
    this.batches = filled.batches;
    this.planned = this.written = filled.note ?? { lastKey: '', rows: 0, bytes: 0 };
    this.resumed = filled.note !== undefined;
  }

  /** Where to go on behind. */
  get lastKey(): Buffer | undefined {
    return this.filled.note && Buffer.from(this.filled.note.lastKey, 'base64');
  }

  /** Revision of the last command that was written; undefined as long as rows are due. */
  get revision(): number | undefined {
    return this.written.revision;
  }

  get progress(): RestoreProgress {
    const { rows, bytes } = this.written;
    return { rows, bytes, resumed: this.resumed };
  }

  /** A promise if there is something to wait for before the next one. */
  add(row: Row): Promise<void> | undefined {
    const bytes = row.key.length + row.value.length;
    const behind = this.isFull(bytes) ? this.send() : undefined;
    this.gathered.rows.push(row);
    this.gathered.bytes += bytes;
    return behind;
  }

  /** An entry that holds no command changes nothing: revisions alone tell that it was there. */
  addEntry({ index, command }: EntryRecord): Promise<void> | undefined {
    if (command.length === 0) return undefined;
    const behind = this.isFull(command.length) ? this.send() : undefined;
    this.gathered.commands.push({ index, command });
    this.gathered.bytes += command.length;
    return behind;
  }

  /** Settles once everything is written. */
  async flush(): Promise<void> {
    await this.send();
    await this.underway.at(-1);
  }

  /** Waits for what is on its way, whatever becomes of it: nothing is written after this. */
  async abandon(): Promise<void> {
    await Promise.allSettled(this.underway);
  }

  /** Gathers anew at once; settles once what was gathered is on its way. */
  private async send(): Promise<void> {
    const { gathered } = this;
    if (gathered.rows.length + gathered.commands.length === 0) return;
    this.gathered = { rows: [], commands: [], bytes: 0 };
    const ready = this.ready(gathered);
    while (this.hasFailed || this.underway.length >= FILLS_UNDERWAY_MAX) await this.underway[0];
    this.parts.signal.throwIfAborted();
    const writing = this.write(ready, this.underway.at(-1));
    this.underway.push(writing);
    // A failure stays first in line, and is told to whoever waits next.
    writing.then(
      () => this.underway.shift(),
      () => (this.hasFailed = true),
    );
  }

  private ready(gathered: Gathered): Ready {
    const { shadow } = this.filled;
    const { rows, commands } = gathered;
    const note = (this.planned = this.noteAfter(gathered));
    const batch = ++this.batches;
    const told = Buffer.from(JSON.stringify(note));
    const request = { shadow, batch, rows, commands, note: told };
    return { batch: this.parts.shadows.ready(request), note };
  }

  /** Settles once the batch and those before it are written. */
  private async write({ batch, note }: Ready, before: Promise<void> | undefined): Promise<void> {
    const { signal, onProgress } = this.parts;
    let outcome = await batch.send(signal);
    await before;
    // It has overtaken the one before on the way; that one is there now.
    if (outcome.kind === 'out-of-order' && before) outcome = await batch.send(signal);
    if (outcome.kind !== 'written') throw refused(this.filled.shadow.table, outcome.kind);
    this.written = note;
    onProgress(this.progress);
  }

  private noteAfter(gathered: Gathered): FillNote {
    const { lastKey, rows, bytes } = this.planned;
    const revision = gathered.commands.at(-1)?.index ?? this.planned.revision;
    return {
      lastKey: gathered.rows.at(-1)?.key.toString('base64') ?? lastKey,
      rows: rows + gathered.rows.length,
      bytes: bytes + gathered.bytes,
      ...(revision !== undefined && { revision }),
    };
  }

  private isFull(bytes: number): boolean {
    const { gathered } = this;
    return (
      gathered.rows.length >= FILL_ROWS_MAX ||
      gathered.commands.length >= FILL_COMMANDS_MAX ||
      gathered.bytes + bytes > FILL_BYTES_MAX
    );
  }
}

export function parseNote(note: Buffer): FillNote {
  const parsed = JSON.parse(note.toString('utf8')) as Partial<FillNote>;
  const { lastKey, rows, bytes, revision } = parsed;
  const isNote =
    typeof lastKey === 'string' && typeof rows === 'number' && typeof bytes === 'number';
  if (isNote && revision === undefined) return { lastKey, rows, bytes };
  if (isNote && typeof revision === 'number') return { lastKey, rows, bytes, revision };
  throw new BackupError('INVALID', 'note: what an earlier restore has left cannot be read');
}
