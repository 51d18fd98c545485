/**
 * Deletes what retention does not keep.
 *
 * In: the catalog, rules. Out: what was decided, and how many objects went. The manifest of a backup goes
 * first, and of a chain the newest: whatever ends a prune, what is listed as good is whole. Logs go last, as far as
 * no backup that is kept goes on with them.
 */
import { BackupCatalog, type BackupListing } from '../catalog/backup-catalog.js';
import { type BackupClock } from '../clock.js';
import { type KeyRing } from '../format/key-ring.js';
import { backupFolder, manifestName } from '../format/names.js';
import { LogCatalog } from '../log/log-catalog.js';
import { type LogDecision, type PrunedLogs, pruneLogs } from '../log/prune-logs.js';
import { type BackupObjects } from '../objects/backup-objects.js';
import { type RunFence } from '../objects/run-fence.js';
import { type SourceCluster } from '../ports.js';
import { type Decision, decideRetention, type RetentionRules } from './retention.js';

export interface PruneParts {
  readonly objects: BackupObjects;
  readonly keys: KeyRing;
  readonly clock: BackupClock;
  readonly signal: AbortSignal;
  /** Of the lease that it is done under; undefined for one that was asked for by hand. */
  readonly fence?: RunFence | undefined;
  /** What there is now; absent or undefined: not known, and no log goes because its table is gone. */
  readonly cluster?: SourceCluster | undefined;
}

export interface PruneReport {
  readonly decisions: readonly (Decision | LogDecision)[];
  readonly deletedObjects: number;
}

/** Names that are deleted at a time. */
const BATCH = 500;

export async function prune(
  parts: PruneParts,
  rules: RetentionRules,
  dryRun: boolean,
): Promise<PruneReport> {
  const { objects, keys, clock, signal } = parts;
  const listing = await new BackupCatalog(objects, keys).list(signal);
  const decisions = decideRetention(listing, rules, clock.wallMs());
  let deletedObjects = 0;
  // Newest first, as they were decided: a backup goes before what it adds to.
  for (const { id, keep } of decisions) {
    if (keep || dryRun) continue;
    await parts.fence?.check(signal);
    deletedObjects += await deleteBackup(objects, id, signal);
  }
  const pruned = await pruneShipped(parts, rules, listing, decisions, dryRun);
  // A process that was killed while it wrote an object leaves parts of it, which are in no list.
  if (!dryRun) await objects.cleanUp(rules.unfinishedMs, signal);
  return {
    decisions: [...decisions, ...pruned.decisions],
    deletedObjects: deletedObjects + pruned.deletedObjects,
  };
}

async function pruneShipped(
  { objects, keys, clock, signal, cluster, fence }: PruneParts,
  { unfinishedMs: goneMs }: RetentionRules,
  { good, unreadable }: BackupListing,
  decisions: readonly Decision[],
  dryRun: boolean,
): Promise<PrunedLogs> {
  // What cannot be read may go on with any log.
  if (unreadable.length > 0) return { decisions: [], deletedObjects: 0 };
  const keptIds = new Set(decisions.filter(({ keep }) => keep).map(({ id }) => id));
  const kept = good.filter(({ id }) => keptIds.has(id));
  const logs = new LogCatalog(objects, keys);
  if (!dryRun) await fence?.check(signal);
  return pruneLogs({ objects, logs, clock, signal, cluster, goneMs, dryRun }, kept);
}

async function deleteBackup(
  objects: BackupObjects,
  id: string,
  signal: AbortSignal,
): Promise<number> {
  signal.throwIfAborted();
  await objects.delete([manifestName(id)], signal);
  let names: string[] = [];
  let deleted = 1;
  // Without these nobody takes what is left for a run to go on with.
  for await (const { key } of objects.list(`${backupFolder(id)}begun-`, signal)) names.push(key);
  await objects.delete(names, signal);
  deleted += names.length;
  names = [];
  for await (const { key } of objects.list(backupFolder(id), signal)) {
    names.push(key);
    if (names.length < BATCH) continue;
    await objects.delete(names, signal);
    deleted += names.length;
    names = [];
  }
  await objects.delete(names, signal);
  return deleted + names.length;
}
