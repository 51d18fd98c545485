/**
 * A shadow filled from rows of the leader cluster, or from what changed in them and the rows of the
 * old copy.
 *
 *   note --> the same snapshot, behind the last key --gone--> begun anew
 *   none --> changes since the old copy's position ---gone--> everything
 *
 * In: the snapshot of the leader cluster, the old copy. Out: where in the log the rows stand. Each
 * row that was compared and not written yet is written before an error is passed on, so that the
 * next attempt goes on there. Rows that were there before, or are of the old copy, may be of another history than
 * the leader cluster has now: if they do not come to the digest that it tells, everything is taken anew.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { mergeChanges } from './merge-changes.js';
import {
  type CopyPosition,
  type Row,
  type RowSnapshot,
  type RowSource,
  type SnapshotPiece,
} from './ports.js';
import { type FillProgress, type ShadowFill } from './shadow-fill.js';

export interface FillParts {
  readonly fill: ShadowFill;
  readonly signal: AbortSignal;
  /** Told the bytes of each piece; settles when the next one may be taken. */
  readonly received: (bytes: number) => Promise<void>;
  /** Told when what was filled is not what the leader cluster has. */
  readonly differs: (digests: { readonly own: string; readonly leader: string }) => void;
}

export interface OldCopy {
  /** Index that it stands at, and will not leave; 0 if nothing of it can be used. */
  position(): Promise<number>;
  rows(afterKey: Buffer): AsyncIterable<readonly Row[]>;
}

interface Opened {
  readonly snapshot: RowSnapshot;
  readonly sinceRevision: number;
  readonly afterKey: Buffer;
}

const NO_KEY = Buffer.alloc(0);

export async function fillFromRows(
  parts: FillParts,
  open: RowSource,
  old: OldCopy,
): Promise<CopyPosition> {
  const { fill, signal } = parts;
  const opened = await opens(fill, open, old, signal);
  const told = await fillFrom(parts, opened, old);
  const own = fill.digest;
  if (told === undefined || told.equals(own)) return opened.snapshot.position;
  parts.differs({ own: own.toString('hex'), leader: told.toString('hex') });
  await fill.beginAnew();
  const whole = await everything(open, signal);
  await fillFrom(parts, whole, old);
  return whole.snapshot.position;
}

/** The digest of the whole table, if the leader cluster told it. */
async function fillFrom(
  { fill, signal, received }: FillParts,
  { snapshot, sinceRevision, afterKey }: Opened,
  old: OldCopy,
): Promise<Buffer | undefined> {
  fill.goOn(snapshot.position, sinceRevision);
  const own = sinceRevision > 0 ? old.rows(afterKey) : NO_ROWS;
  const from = new Leader(snapshot.pieces, received);
  try {
    await mergeChanges(own, from, (row) => fill.add(row));
  } catch (error) {
    // What came before it is good. What else may have failed would fail again.
    if (from.hasFailed && !signal.aborted) await fill.flush();
    throw error;
  }
  return from.tableDigest;
}

async function opens(
  fill: ShadowFill,
  open: RowSource,
  old: OldCopy,
  signal: AbortSignal,
): Promise<Opened> {
  const { progress } = fill;
  const position = await old.position();
  const resumed = progress && (await goesOn(progress, position, open, signal));
  if (resumed) return resumed;
  if (!fill.isEmpty) await fill.beginAnew();
  if (position > 0) {
    const wish = { sinceRevision: position, atRevision: 0, afterKey: NO_KEY };
    const snapshot = await unlessGone(open(wish, signal));
    if (snapshot) return { snapshot, sinceRevision: position, afterKey: NO_KEY };
  }
  return everything(open, signal);
}

async function everything(open: RowSource, signal: AbortSignal): Promise<Opened> {
  const wish = { sinceRevision: 0, atRevision: 0, afterKey: NO_KEY };
  return { snapshot: await open(wish, signal), sinceRevision: 0, afterKey: NO_KEY };
}

/** Undefined if the rows that are there cannot be gone on with. */
async function goesOn(
  { position, sinceRevision, lastKey }: FillProgress,
  copyIndex: number,
  open: RowSource,
  signal: AbortSignal,
): Promise<Opened | undefined> {
  // The rows of the old copy that are there already must be of the same moment.
  if (sinceRevision !== 0 && sinceRevision !== copyIndex) return undefined;
  const wish = { sinceRevision, atRevision: position.revision, afterKey: lastKey };
  const again = await unlessGone(open(wish, signal));
  // Its log may have grown by then; the rows are still of the revision that was asked for.
  const snapshot = again && { position, pieces: again.pieces };
  return snapshot && { snapshot, sinceRevision, afterKey: lastKey };
}

async function unlessGone(opening: Promise<RowSnapshot>): Promise<RowSnapshot | undefined> {
  try {
    return await opening;
  } catch (error) {
    if (error instanceof GrpcStatusError && error.code === status.FAILED_PRECONDITION) return;
    throw error;
  }
}

/** Its pieces at the pace that is allowed, and whether it was there that something went wrong. */
class Leader implements AsyncIterable<SnapshotPiece> {
  hasFailed = false;
  /** Once all pieces came. */
  tableDigest: Buffer | undefined;

  constructor(
    private readonly pieces: AsyncIterable<SnapshotPiece>,
    private readonly received: (bytes: number) => Promise<void>,
  ) {}

  async *[Symbol.asyncIterator](): AsyncGenerator<SnapshotPiece, void, undefined> {
    this.hasFailed = true;
    for await (const piece of this.pieces) {
      await this.received(piece.bytes);
      this.hasFailed = false;
      this.tableDigest = piece.tableDigest;
      yield piece;
      this.hasFailed = true;
    }
  }
}

const NO_ROWS: AsyncIterable<readonly Row[]> = {
  async *[Symbol.asyncIterator]() {
    await Promise.resolve();
    yield [];
  },
};
