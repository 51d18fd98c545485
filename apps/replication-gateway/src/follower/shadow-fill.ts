/**
 * A shadow that is being filled: batches in their order, each with a note of how far it is.
 *
 *   begin --> add ... --full--> batch n, note --> ... --> complete
 *
 * In: rows in the order of keys. Out: batches of a bounded size. Whoever goes on with a shadow has a
 * younger token; from then on nothing of this one is written.
 */
import { TableDigest } from '../table-digest.js';
import {
  type CopyPosition,
  type CopySource,
  type FillBatch,
  type Row,
  type Shadow,
  type ShadowTables,
  type SnapshotPosition,
} from './ports.js';

export const RECOVERY_PURPOSE = 'recovery';
/** Bytes of rows in a batch; a row that is larger goes alone. Nodes take requests of 4 MiB. */
export const FILL_BYTES_MAX = 512 * 1024;
export const FILL_ROWS_MAX = 4_096;
const ROW_OVERHEAD_BYTES = 32;
/** One is written to the log while the one before it is applied. */
const FILLS_UNDERWAY_MAX = 2;
const NO_KEY = Buffer.alloc(0);

/** How far a shadow is, as the note beside its rows says. */
export interface FillProgress {
  readonly position: SnapshotPosition;
  /** Revision after which changes were asked for; 0 for everything. */
  readonly sinceRevision: number;
  readonly lastKey: Buffer;
  /** Of all rows up to that key. */
  readonly digest: Buffer;
}

type FillBasis = Pick<FillProgress, 'position' | 'sinceRevision'>;

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
  private table: TableDigest;
  private made: FillBasis | undefined;
  /** Batches that are on their way while the next one is gathered, the first of them first. */
  private underway: Promise<void>[] = [];
  private hasFailed = false;
  /** Number of the last batch that was sent. */
  private sent: number;

  private constructor(
    private readonly shadows: ShadowTables,
    private readonly target: FillTarget,
    private readonly signal: AbortSignal,
    private current: { shadow: Shadow; batches: number; note: Buffer },
  ) {
    this.sent = current.batches;
    this.table = TableDigest.from(this.progress?.digest ?? NO_KEY) ?? TableDigest.empty();
  }

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
    // Whether these batches were written is of no matter any more: their shadow goes.
    await Promise.allSettled(this.underway);
    this.underway = [];
    this.hasFailed = false;
    await this.shadows.drop(this.shadow);
    this.current = await begun(this.shadows, this.target);
    this.sent = this.current.batches;
    this.table = TableDigest.empty();
    this.rows = [];
    this.bytes = 0;
    if (!this.isEmpty) throw new LostShadowError('another one fills the table');
  }

  /** Digest of all its rows. */
  get digest(): Buffer {
    const whole = TableDigest.from(this.table.bytes()) ?? TableDigest.empty();
    whole.add(this.rows);
    return whole.bytes();
  }

  /** What the rows are of that are added from here on. */
  goOn(position: SnapshotPosition, sinceRevision: number): void {
    this.made = { position, sinceRevision };
  }

  /** A promise if there is something to wait for before the next one. */
  add(row: Row): Promise<void> | undefined {
    const bytes = row.key.length + row.value.length + ROW_OVERHEAD_BYTES;
    const isFull = this.bytes + bytes > FILL_BYTES_MAX || this.rows.length >= FILL_ROWS_MAX;
    const behind = isFull && this.rows.length > 0 ? this.send() : undefined;
    this.rows.push(row);
    this.bytes += bytes;
    return behind;
  }

  /** Settles once all that was gathered is written. */
  async flush(): Promise<void> {
    await this.send();
    await this.underway.at(-1);
  }

  /** Gathers anew at once; settles once what was gathered is on its way. */
  private async send(): Promise<void> {
    const { rows, made } = this;
    const last = rows.at(-1);
    if (!last || !made) return;
    this.rows = [];
    this.bytes = 0;
    this.table.add(rows);
    const note = writeNote({ ...made, lastKey: last.key, digest: this.table.bytes() });
    while (this.hasFailed || this.underway.length >= FILLS_UNDERWAY_MAX) await this.underway[0];
    const writing = this.write({ batch: ++this.sent, rows, note }, this.underway.at(-1));
    this.underway.push(writing);
    // A failure stays first in line, and is told to whoever waits next.
    writing.then(
      () => this.underway.shift(),
      () => (this.hasFailed = true),
    );
  }

  /** Settles once the batch and those before it are written. */
  private async write(batch: FillBatch, before: Promise<void> | undefined): Promise<void> {
    const { shadow } = this.current;
    let outcome = await this.shadows.fill(shadow, batch, this.signal);
    await before;
    // It has overtaken the one before on the way; that one is there now.
    if (outcome === 'out-of-order' && before) {
      outcome = await this.shadows.fill(shadow, batch, this.signal);
    }
    if (outcome === 'old-token') throw new LostShadowError('another one fills the table');
    if (outcome === 'out-of-order') throw new RecoveryContendedError('a batch is missing');
    this.current = { shadow, batches: batch.batch, note: batch.note };
  }

  /** Its rows are what the name means. `isTaken` says whether they are, where that is in doubt. */
  async complete(
    replacesId: number,
    position: CopyPosition,
    isTaken: () => Promise<boolean>,
  ): Promise<void> {
    await this.flush();
    try {
      const outcome = await this.shadows.complete(this.shadow, replacesId, position);
      if (outcome === 'completed') return;
      if (outcome === 'old-token') throw new LostShadowError('another one fills the table');
      throw new RecoveryContendedError(`the shadow cannot take the name over: ${outcome}`);
    } catch (error) {
      // An answer that was lost, or that is about a call that came before.
      if (error instanceof LostShadowError || !(await isTaken())) throw error;
    }
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
const NOTE_FORMAT = 2;

function writeNote({ position, sinceRevision, lastKey, digest }: FillProgress): Buffer {
  const { index, revision, check } = position;
  const fields = { format: NOTE_FORMAT, index, revision, check: check?.toString(), sinceRevision };
  const bytes = { lastKey: lastKey.toString('base64'), digest: digest.toString('base64') };
  return Buffer.from(JSON.stringify({ ...fields, ...bytes }));
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
  const { format, lastKey, digest, sinceRevision, ...place } = read as Record<string, unknown>;
  const isKnown = format === NOTE_FORMAT && typeof lastKey === 'string';
  const position = positionOf(place);
  if (!isKnown || !position || !isCount(sinceRevision) || typeof digest !== 'string') {
    return undefined;
  }
  const key = lastKey === '' ? NO_KEY : Buffer.from(lastKey, 'base64');
  return { position, sinceRevision, lastKey: key, digest: Buffer.from(digest, 'base64') };
}

function positionOf(place: Record<string, unknown>): SnapshotPosition | undefined {
  const { index, revision, check } = place;
  if (!isCount(index) || !isCount(revision)) return undefined;
  if (check === undefined) return { index, revision };
  if (typeof check !== 'string' || !CHECK_DIGITS.test(check)) return undefined;
  return { index, revision, check: BigInt(check) };
}

const CHECK_DIGITS = /^\d{1,20}$/;

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
