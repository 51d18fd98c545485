/**
 * A shadow filled from a snapshot of pairs, as servers of Regatta stream it.
 *
 * In: pieces of a framed snappy stream. Out: the index that the pairs stand for, which comes last.
 * The protocol carries no revisions: all rows have the first one there is. Such a snapshot cannot be
 * gone on with, so what a broken one has left is dropped.
 */
import { type FillParts } from './fill-from-rows.js';
import { type CopyPosition } from './ports.js';
import { SnapshotRecords } from './snapshot-records.js';

/** Not above any index that a snapshot may stand for. */
const UNKNOWN_REVISION = 1;
const UNKNOWN = {
  createRevision: UNKNOWN_REVISION,
  modRevision: UNKNOWN_REVISION,
  version: 1,
};

export async function fillFromPairs(
  { fill, signal, received }: FillParts,
  open: (signal: AbortSignal) => AsyncIterable<Buffer>,
): Promise<CopyPosition> {
  if (!fill.isEmpty) await fill.beginAnew();
  fill.goOn({ index: 0, revision: 0 }, 0);
  const records = new SnapshotRecords();
  for await (const piece of open(signal)) {
    await received(piece.length);
    for (const pair of records.push(piece)) {
      const behind = fill.add({ ...pair, ...UNKNOWN });
      if (behind) await behind;
    }
  }
  return { index: records.end() };
}
