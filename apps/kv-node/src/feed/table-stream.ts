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
  const sendNext = async (): Promise<Sent> => {
    // Its turn may come after it has gone.
    if (call.cancelled) return { more: false };
    const pieces = await reads.slices((mayGoOn) => pages.slice(mayGoOn), call);
    const last = pieces.at(-1);
    if (!last || call.cancelled) return { more: false };
    const behind = sink.write(chunkOf(pieces, last, position));
    position = undefined;
    return { more: last.more, behind };
  };
  for (;;) {
    const { more, behind } = await turns.run(sendNext);
    if (behind) await withinStallLimit(clock, behind);
    if (!more) return;
  }
}

interface Sent {
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
