/**
 * A shadow that is being filled: batches in their order, each with a note of how far it is.
 *
 *   begin --> add ... --full--> batch n, note --> ... --> complete
 *
 * In: rows in the order of keys. Out: batches of a bounded size. Whoever goes on with a shadow has a
 * younger token; from then on nothing of this one is written.
 */
import {
  type CopySource,
  type Row,
  type Shadow,
  type ShadowTables,
  type SnapshotPosition,
} from './ports.js';

export const RECOVERY_PURPOSE = 'recovery';
/** Bytes of rows in a batch; a row that is larger goes alone. Nodes take requests of 4 MiB. */
export const FILL_BYTES_MAX = 1024 * 1024;
export const FILL_ROWS_MAX = 4_096;
const ROW_OVERHEAD_BYTES = 32;
const NO_KEY = Buffer.alloc(0);

/** How far a shadow is, as the note beside its rows says. */
export interface FillProgress {
  readonly position: SnapshotPosition;
  /** Revision after which changes were asked for; 0 for everything. */
  readonly sinceRevision: number;
  readonly lastKey: Buffer;
}

/** Somebody else has done something with the table meanwhile, or is doing it. */
export class RecoveryContendedError extends Error {
  override readonly name = 'RecoveryContendedError';
}

/** Somebody else goes on with it. */
export class LostShadowError extends Error {
  override readonly name = 'LostShadowError';
}

export interface FillTarget {
  readonly table: string;
  readonly source: CopySource;
}

export class ShadowFill {
  private rows: Row[] = [];
  private bytes = 0;
  private made: { position: SnapshotPosition; sinceRevision: number } | undefined;

  private constructor(
    private readonly shadows: ShadowTables,
    private readonly target: FillTarget,
    private readonly signal: AbortSignal,
    private current: { shadow: Shadow; batches: number; note: Buffer },
  ) {}

  /** Throws RecoveryContendedError where the name is used for something else. */
  static async begin(
    shadows: ShadowTables,
    target: FillTarget,
    signal: AbortSignal,
  ): Promise<ShadowFill> {
    return new ShadowFill(shadows, target, signal, await begun(shadows, target));
  }

  get shadow(): Shadow {
    return this.current.shadow;
  }

  /** How far it was when it was begun; undefined if nothing of it can be used. */
  get progress(): FillProgress | undefined {
    return this.current.batches === 0 ? undefined : readNote(this.current.note);
  }

  get isEmpty(): boolean {
    return this.current.batches === 0;
  }

  /** What was filled is given up, and another shadow begun. */
  async beginAnew(): Promise<void> {
    await this.shadows.drop(this.shadow);
    this.current = await begun(this.shadows, this.target);
    if (!this.isEmpty) throw new LostShadowError('another one fills the table');
  }

  /** What the rows are of that are added from here on. */
  goOn(position: SnapshotPosition, sinceRevision: number): void {
    this.made = { position, sinceRevision };
  }

  /** A promise if a batch had to be written first. */
  add(row: Row): Promise<void> | undefined {
    const bytes = row.key.length + row.value.length + ROW_OVERHEAD_BYTES;
    const isFull = this.bytes + bytes > FILL_BYTES_MAX || this.rows.length >= FILL_ROWS_MAX;
    if (!isFull || this.rows.length === 0) return this.gather(row, bytes);
    return this.flush().then(() => this.gather(row, bytes));
  }

  /** Writes what is gathered. */
  async flush(): Promise<void> {
    const { rows, made } = this;
    const last = rows.at(-1);
    if (!last || !made) return;
    this.rows = [];
    this.bytes = 0;
    const { shadow, batches } = this.current;
    const note = writeNote({ ...made, lastKey: last.key });
    const batch = batches + 1;
    const outcome = await this.shadows.fill(shadow, { batch, rows, note }, this.signal);
    if (outcome === 'old-token') throw new LostShadowError('another one fills the table');
    if (outcome === 'out-of-order') throw new RecoveryContendedError('a batch is missing');
    this.current = { shadow, batches: batch, note };
  }

  /** Its rows are what the name means. `isTaken` says whether they are, where that is in doubt. */
  async complete(
    replacesId: number,
    revision: number,
    isTaken: () => Promise<boolean>,
  ): Promise<void> {
    await this.flush();
    try {
      const outcome = await this.shadows.complete(this.shadow, replacesId, revision);
      if (outcome === 'completed') return;
      if (outcome === 'old-token') throw new LostShadowError('another one fills the table');
      throw new RecoveryContendedError(`the shadow cannot take the name over: ${outcome}`);
    } catch (error) {
      // An answer that was lost, or that is about a call that came before.
      if (error instanceof LostShadowError || !(await isTaken())) throw error;
    }
  }

  private gather(row: Row, bytes: number): undefined {
    this.rows.push(row);
    this.bytes += bytes;
    return undefined;
  }
}

async function begun(
  shadows: ShadowTables,
  { table, source }: FillTarget,
): Promise<{ shadow: Shadow; batches: number; note: Buffer }> {
  const wish = { table, source, purpose: RECOVERY_PURPOSE };
  let answer = await shadows.begin({ ...wish, replace: false });
  // One of another table that had the name. What others do with the name is left alone.
  if (answer.outcome === 'occupied' && answer.shadow?.purpose === RECOVERY_PURPOSE) {
    answer = await shadows.begin({ ...wish, replace: true });
  }
  const { outcome, shadow, batches, note } = answer;
  if (!shadow || outcome === 'local' || outcome === 'occupied') {
    const by = outcome === 'occupied' ? ` by ${shadow?.purpose ?? 'something'}` : '';
    throw new RecoveryContendedError(`the name cannot be filled: ${outcome}${by}`);
  }
  return { shadow, batches, note };
}

/** Format of the note: it is kept beside rows, and may be read by another version. */
const NOTE_FORMAT = 1;

function writeNote({ position, sinceRevision, lastKey }: FillProgress): Buffer {
  const fields = { format: NOTE_FORMAT, ...position, sinceRevision };
  return Buffer.from(JSON.stringify({ ...fields, lastKey: lastKey.toString('base64') }));
}

/** Undefined for whatever cannot be gone on from. */
function readNote(note: Buffer): FillProgress | undefined {
  let read: unknown;
  try {
    read = JSON.parse(note.toString());
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (typeof read !== 'object' || read === null) return undefined;
  const { format, index, revision, sinceRevision, lastKey } = read as Record<string, unknown>;
  const isKnown = format === NOTE_FORMAT && typeof lastKey === 'string';
  if (!isKnown || !isCount(index) || !isCount(revision) || !isCount(sinceRevision))
    return undefined;
  const key = lastKey === '' ? NO_KEY : Buffer.from(lastKey, 'base64');
  return { position: { index, revision }, sinceRevision, lastKey: key };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
