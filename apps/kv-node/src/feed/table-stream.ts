/**
 * A table, or what changed in it, as of one moment, as a stream in the order of keys.
 *
 * In: pages that were opened when the stream began. Out: chunks, at the reader's pace, the first one
 * with the index that the pages stand for, the last one marked. One chunk is in memory at a time; the
 * pages keep old data on disk, so a reader that takes nothing for too long is sent away.
 */
import { type CallContext, type MessageSink } from '@flotilla/grpc';
import { hot } from '@flotilla/proto';
import { withinStallLimit } from '../kv/reader-stall.js';
import { type SlicedReads } from '../kv/sliced-reads.js';
import { type NodeClock } from '../node/node-clock.js';
import { type BulkTurns } from './bulk-turns.js';
import { type TablePages, type TablePiece } from './table-pages.js';

export async function streamTable(
  pages: TablePages,
  source: Pick<hot.FeedTablePosition, 'tableId' | 'epoch' | 'appliedCheck'>,
  reads: SlicedReads,
  turns: BulkTurns,
  clock: Pick<NodeClock, 'after'>,
  call: CallContext,
  sink: MessageSink,
): Promise<void> {
  const { appliedIndex, revision } = pages;
  let position: hot.FeedTablePosition | undefined = { ...source, appliedIndex, revision };
  let pieces: TablePiece[] = [];
  // A turn is a slice, not a page: of what changed since long ago, a page may take seconds to find.
  const readNext = async (): Promise<Sent> => {
    // Its turn may come after it has gone.
    if (call.cancelled) return { more: false };
    const piece = reads.slice((mayGoOn) => pages.slice(mayGoOn));
    if (!piece) return { more: false };
    pieces.push(piece);
    if (!piece.isLast) return { more: true };
    const behind = sink.write(chunkOf(pieces, piece, position));
    pieces = [];
    position = undefined;
    return { more: piece.more, behind };
  };
  for (;;) {
    const { more, behind } = await turns.run(readNext);
    if (behind) await withinStallLimit(clock, behind);
    if (!more) return;
  }
}

interface Sent {
  /** Whether anything is left to read. */
  readonly more: boolean;
  /** Until the reader has taken enough. */
  readonly behind?: Promise<void> | undefined;
}

function chunkOf(
  pieces: readonly TablePiece[],
  { packed, more }: TablePiece,
  position: hot.FeedTablePosition | undefined,
): Buffer {
  if (packed) return hot.completeTableChunk(packed, position, more);
  const rows = pieces.flatMap((piece) => piece.rows);
  const deletedKeys = pieces.flatMap((piece) => piece.deletedKeys);
  return hot.encodeTableChunk({ position, rows, deletedKeys, more });
}
