/**
 * Which revisions the pieces of a log hold, whoever has stored them, however often.
 *
 *   1-40  41-60              one run, 1 to 60
 *      30-50     70-90       the second is covered, the third begins another run: 61 to 69 are missing
 *
 * In: pieces of one table and epoch, in the order of their names. Out: runs without gaps, or the pieces
 * that give a range. Pure: names alone decide.
 */
import { type LogName } from '../format/log-names.js';

export interface LogPiece extends LogName {
  readonly sizeBytes: number;
  /** By the clock of the store. */
  readonly modifiedAtMs: number;
}

/** Revisions without a gap. */
export interface LogRun<Piece extends LogName = LogPiece> {
  readonly first: number;
  readonly last: number;
  /** Each of them reaches farther than those before. */
  readonly pieces: readonly Piece[];
}

export type Coverage<Piece extends LogName = LogPiece> =
  | { readonly kind: 'covered'; readonly pieces: readonly Piece[] }
  /** The first revisions that are missing. */
  | { readonly kind: 'missing'; readonly first: number; readonly last: number };

export function runsOf<Piece extends LogName>(pieces: readonly Piece[]): readonly LogRun<Piece>[] {
  const runs: { first: number; last: number; pieces: Piece[] }[] = [];
  for (const piece of inOrder(pieces)) {
    const run = runs.at(-1);
    if (!run || piece.first > run.last + 1) {
      runs.push({ first: piece.first, last: piece.last, pieces: [piece] });
    } else if (piece.last > run.last) {
      run.last = piece.last;
      run.pieces.push(piece);
    }
  }
  return runs;
}

/** What to read for all revisions from `from` to `to`; nothing if there are none in between. */
export function coverageOf<Piece extends LogName>(
  pieces: readonly Piece[],
  from: number,
  to: number,
): Coverage<Piece> {
  const chosen: Piece[] = [];
  let next = from;
  for (const piece of inOrder(pieces)) {
    if (next > to) break;
    if (piece.last < next) continue;
    if (piece.first > next) {
      return { kind: 'missing', first: next, last: Math.min(piece.first - 1, to) };
    }
    chosen.push(piece);
    next = piece.last + 1;
  }
  if (next <= to) return { kind: 'missing', first: next, last: to };
  return { kind: 'covered', pieces: chosen };
}

/** What lies between runs, and was not stored. */
export function gapsOf(runs: readonly Pick<LogRun, 'first' | 'last'>[]) {
  return runs.slice(1).map((run, at) => {
    return { first: (runs[at]?.last ?? 0) + 1, last: run.first - 1 };
  });
}

function inOrder<Piece extends LogName>(pieces: readonly Piece[]): readonly Piece[] {
  return [...pieces].sort((a, b) => a.first - b.first || a.last - b.last);
}
