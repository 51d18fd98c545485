/**
 * The rows of an old copy and what changed since, as the rows of the table now.
 *
 *   own rows:  a  b  c  d        changed: b', c deleted, e       out: a  b'  d  e
 *
 * In: both in the order of keys, changes piece by piece. Out: rows in the order of keys. Own rows
 * behind the last change are given out only once no more changes come. One piece of each is in
 * memory.
 */
import { type Row, type SnapshotPiece } from './ports.js';

/** Takes a row; a promise if it has to be waited for. */
export type TakeRow = (row: Row) => Promise<void> | undefined;

export async function mergeChanges(
  own: AsyncIterable<readonly Row[]>,
  pieces: AsyncIterable<SnapshotPiece>,
  take: TakeRow,
): Promise<void> {
  const rows = new RowCursor(own);
  const passTo = async (key: Buffer | undefined): Promise<void> => {
    for (;;) {
      const row = rows.first ?? (await rows.load());
      if (!row) return;
      const order = key === undefined ? -1 : Buffer.compare(row.key, key);
      if (order > 0) return;
      rows.pass();
      if (order === 0) return;
      const behind = take(row);
      if (behind) await behind;
    }
  };
  try {
    for await (const piece of pieces) {
      for (const { key, row } of changesOf(piece)) {
        await passTo(key);
        const behind = row && take(row);
        if (behind) await behind;
      }
      if (piece.isLast) break;
    }
    await passTo(undefined);
  } finally {
    await rows.leave();
  }
}

interface Change {
  readonly key: Buffer;
  /** Undefined if it was deleted. */
  readonly row: Row | undefined;
}

function* changesOf({ rows, deletedKeys }: SnapshotPiece): Generator<Change, void, undefined> {
  let at = 0;
  for (const row of rows) {
    for (; ; at++) {
      const key = deletedKeys[at];
      if (key === undefined || Buffer.compare(key, row.key) > 0) break;
      yield { key, row: undefined };
    }
    yield { key: row.key, row };
  }
  for (const key of deletedKeys.slice(at)) yield { key, row: undefined };
}

/** Rows one after another, piece by piece. */
class RowCursor {
  private readonly pieces: AsyncIterator<readonly Row[], unknown>;
  private rows: readonly Row[] = [];
  private at = 0;
  private isOver = false;

  constructor(pieces: AsyncIterable<readonly Row[]>) {
    this.pieces = pieces[Symbol.asyncIterator]();
  }

  /** Undefined if another piece has to be loaded first. */
  get first(): Row | undefined {
    return this.rows[this.at];
  }

  pass(): void {
    this.at++;
  }

  /** The first row; undefined if there is none any more. */
  async load(): Promise<Row | undefined> {
    while (this.first === undefined && !this.isOver) {
      const next = await this.pieces.next();
      this.isOver = next.done === true;
      this.rows = next.done === true ? [] : next.value;
      this.at = 0;
    }
    return this.first;
  }

  async leave(): Promise<void> {
    if (!this.isOver) await this.pieces.return?.();
    this.isOver = true;
  }
}
