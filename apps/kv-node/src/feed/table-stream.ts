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
import { type TablePages } from './table-pages.js';

export async function streamTable(
  pages: TablePages,
  source: Pick<hot.FeedTablePosition, 'tableId' | 'epoch'>,
  reads: SlicedReads,
  clock: Pick<NodeClock, 'after' | 'turn'>,
  call: CallContext,
  sink: MessageSink,
): Promise<void> {
  const { appliedIndex, revision } = pages;
  let position: hot.FeedTablePosition | undefined = { ...source, appliedIndex, revision };
  for (;;) {
    const pieces = await reads.slices((mayGoOn) => pages.slice(mayGoOn), call);
    const last = pieces.at(-1);
    if (!last || call.cancelled) return;
    const rows = pieces.flatMap((piece) => piece.rows);
    const deletedKeys = pieces.flatMap((piece) => piece.deletedKeys);
    const { more } = last;
    const behind = sink.write(hot.encodeTableChunk({ position, rows, deletedKeys, more }));
    position = undefined;
    if (behind) await withinStallLimit(clock, behind);
    else await clock.turn();
    if (!more) return;
  }
}
