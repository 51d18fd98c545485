/**
 * Removes what no read at or after a revision can see.
 *
 * In: a revision and a bound of work. Out: one engine batch, and whether more is left. A change row
 * goes once all revisions in it are given up, oldest first, so an interrupted compaction goes on
 * where it stopped. The compacted revision is raised in the first batch: a read must never be
 * answered from half of its history.
 */
import { type Engine } from '../engine/engine.js';
import { supersededTotalOf } from './change-row.js';
import { type Keyspace, placeOfChanges } from './keyspace.js';
import { encodeMeta, type Meta } from './meta-row.js';
import { type CompactResult } from './table-types.js';
import { damaged } from './varint.js';

/** Rows removed by one call unless said otherwise: a few milliseconds of work. */
export const COMPACT_ROWS_DEFAULT = 512;

/** Returns the new meta along with the result. */
export function compactHistory(
  engine: Engine,
  keyspace: Keyspace,
  meta: Meta,
  rowsMax: number,
): { meta: Meta; result: CompactResult } {
  // Removed rows stay in the files for a while and cost time to pass: begin behind them.
  const floor = { epoch: meta.floorEpoch, revision: meta.floorRevision };
  const target = { epoch: meta.epoch, revision: meta.compactedRevision };
  const iterator = engine.iterator({ ...keyspace.changeRange(floor, target), content: 'keys' });
  const { items, done } = iterator.read(rowsMax);
  iterator.close();
  const next = { ...meta };
  const last = items[items.length - 1];
  if (last !== undefined) {
    const row = engine.get(last);
    if (row === undefined) throw damaged('a change row is gone');
    // Each row says how many versions were superseded up to its end.
    next.historyRows = meta.supersededTotal - supersededTotalOf(row);
  }
  const reached = done || last === undefined ? target : placeOfChanges(last);
  next.floorEpoch = reached.epoch;
  next.floorRevision = reached.revision;
  const batch = engine.batch();
  for (const key of items) batch.del(key);
  batch.put(keyspace.metaKey, encodeMeta(next));
  batch.write();
  return { meta: next, result: { done, removed: items.length } };
}
