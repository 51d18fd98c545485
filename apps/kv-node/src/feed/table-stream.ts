/**
 * All pairs of a table as of one moment, as a stream in the order of keys.
 *
 * In: a view that was opened when the stream began. Out: chunks, at the reader's pace, the first one
 * with the index that the view stands for, the last one marked. One chunk is in memory at a time; the
 * view keeps old data on disk, so a reader that takes nothing for too long is sent away.
 */
import { type CallContext, type MessageSink } from '@flotilla/grpc';
import { type TableIterator } from '@flotilla/mvcc';
import { hot } from '@flotilla/proto';
import { withinStallLimit } from '../kv/reader-stall.js';
import { type SlicedReads } from '../kv/sliced-reads.js';
import { type NodeClock } from '../node/node-clock.js';

export async function streamTable(
  view: TableIterator,
  position: hot.FeedTablePosition,
  reads: SlicedReads,
  clock: Pick<NodeClock, 'after' | 'turn'>,
  call: CallContext,
  sink: MessageSink,
): Promise<void> {
  for (let isFirst = true; ; isFirst = false) {
    const page = await reads.rows(view, call);
    if (!page || call.cancelled) return;
    const { kvs: rows, more } = page;
    const chunk = { position: isFirst ? position : undefined, rows, more, deletedKeys: [] };
    const behind = sink.write(hot.encodeTableChunk(chunk));
    if (behind) await withinStallLimit(clock, behind);
    else await clock.turn();
    if (!more) return;
  }
}
