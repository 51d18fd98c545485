/**
 * The entries of a range of revisions, from the pieces that hold them.
 *
 * In: pieces that cover the range. Out: entries, each once, batch by batch; a piece that is damaged ends it
 * with an error that names the object. One piece is in memory, and the next one on its way.
 */
import { damaged } from '../backup-error.js';
import { type EntryRecord } from '../format/records.js';
import { type LogCatalog } from './log-catalog.js';
import { type LogPiece } from './log-coverage.js';

export interface LogRange {
  readonly pieces: readonly LogPiece[];
  readonly keyIds: readonly string[];
  /** Both of them are wanted. */
  readonly from: number;
  readonly to: number;
}

export async function* readLog(
  catalog: LogCatalog,
  { pieces, keyIds, from, to }: LogRange,
  signal: AbortSignal,
): AsyncGenerator<readonly EntryRecord[], void, undefined> {
  let next = from;
  let ahead: Promise<readonly EntryRecord[]> | undefined;
  const due = pieces.filter(({ first, last }) => last >= from && first <= to);
  try {
    for (const [at, piece] of due.entries()) {
      signal.throwIfAborted();
      const entries = await (ahead ?? catalog.entries(piece, keyIds, signal));
      const following = due[at + 1];
      ahead = following && catalog.entries(following, keyIds, signal);
      // Its failure is told when its turn comes.
      ahead?.catch(() => undefined);
      const some = entries.filter(({ index }) => index >= next && index <= to);
      if (some.length === 0) continue;
      if (some[0]?.index !== next) throw damaged(piece.name, `revision ${next} is not before it`);
      next += some.length;
      yield some;
    }
  } finally {
    // Read ahead for nobody: the reader has ended, or failed before. Nothing is left running.
    await ahead?.catch(() => undefined);
  }
  if (next <= to) throw damaged(pieces.at(-1)?.name ?? 'the log', `revision ${next} is missing`);
}
