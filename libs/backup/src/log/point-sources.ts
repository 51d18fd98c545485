/**
 * What a planned restore to a point reads.
 *
 * In: a plan. Out: rows of the backup that it begins with, and entries of the log from there on, both from
 * wherever an earlier restore came to. Everything is checked as it is read.
 */
import { type KeyRing } from '../format/key-ring.js';
import { type BackupObjects } from '../objects/backup-objects.js';
import { readChain, readersOf } from '../read/chain-reader.js';
import { type RestoreParts } from '../restore/restore-table.js';
import { LogCatalog } from './log-catalog.js';
import { readLog } from './log-reader.js';
import { type PointPlan } from './point-plan.js';

export function pointSources(
  plan: Pick<PointPlan, 'backup' | 'pieces' | 'keyIds' | 'revision'>,
  objects: BackupObjects,
  keys: KeyRing,
  signal: AbortSignal,
): Required<Pick<RestoreParts, 'rows' | 'entries'>> {
  const { backup, pieces, keyIds, revision } = plan;
  const readers = backup ? readersOf(backup.chain, backup.table, objects, keys) : [];
  const base = backup?.table.revision ?? 0;
  const logs = new LogCatalog(objects, keys);
  return {
    rows: (afterKey) => readChain(readers, signal, afterKey),
    entries: (afterRevision) => {
      const from = Math.max(base, afterRevision ?? 0) + 1;
      return readLog(logs, { pieces, keyIds, from, to: revision }, signal);
    },
  };
}
