/**
 * Removes what no read at or after a revision can see.
 *
 * In: a revision and a bound of work. Out: one engine batch, and whether more is left. Each row of the
 * revision index names the versions that its changes superseded; those and the index rows
 * themselves go, oldest first, so an interrupted compaction goes on where it stopped. The compacted
 * revision is raised in the first batch: a read must never be answered from half of its history.
 */
import { type Engine } from '../engine/engine.js';
import { type Keyspace } from './keyspace.js';
import { decodeKeyChanges, encodeMeta, type Meta } from './row-codec.js';
import { type CompactResult } from './table-types.js';

const PAGE_ROWS = 64;

/** Rows removed by one call unless said otherwise: a few milliseconds of work. */
export const COMPACT_ROWS_DEFAULT = 512;

/** Returns the new meta along with the result; a single revision's index row is never split. */
export function compactHistory(
  engine: Engine,
  keyspace: Keyspace,
  meta: Meta,
  rowsMax: number,
): { meta: Meta; result: CompactResult } {
  const batch = engine.batch();
  // Removed rows stay in the files for a while and cost time to pass: begin behind them.
  let floor = { epoch: meta.floorEpoch, revision: meta.floorRevision };
  const target = { epoch: meta.epoch, revision: meta.compactedRevision };
  const iterator = engine.iterator(keyspace.indexRange(floor, target));
  let { historyRows } = meta;
  let removed = 0;
  let done = false;
  while (!done && removed < rowsMax) {
    const page = iterator.read(PAGE_ROWS);
    done = page.done;
    for (let at = 0; at + 1 < page.items.length; at += 2) {
      const [key, value] = page.items.slice(at, at + 2);
      if (key === undefined || value === undefined) continue;
      if (removed >= rowsMax) {
        done = false;
        break;
      }
      floor = keyspace.positionOfIndex(key);
      for (const change of decodeKeyChanges(value)) {
        if (change.supersededRevision === undefined) continue;
        batch.del(keyspace.historyKey(floor.epoch, change.key, change.supersededRevision));
        historyRows -= 1;
        removed += 1;
      }
      batch.del(key);
      removed += 1;
    }
  }
  iterator.close();
  if (done) floor = target;
  const next = { ...meta, historyRows, floorEpoch: floor.epoch, floorRevision: floor.revision };
  batch.put(keyspace.metaKey, encodeMeta(next));
  batch.write();
  return { meta: next, result: { done, removed } };
}
