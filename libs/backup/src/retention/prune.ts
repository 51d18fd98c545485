/**
 * Deletes what retention does not keep.
 *
 * In: the catalog, rules. Out: what was decided, and how many objects went. The manifest of a backup goes
 * first, and of a chain the newest: whatever ends a prune, what is listed as good is whole.
 */
import { BackupCatalog } from '../catalog/backup-catalog.js';
import { type BackupClock } from '../clock.js';
import { type KeyRing } from '../format/key-ring.js';
import { backupFolder, manifestName } from '../format/names.js';
import { type BackupObjects } from '../objects/backup-objects.js';
import { type Decision, decideRetention, type RetentionRules } from './retention.js';

export interface PruneParts {
  readonly objects: BackupObjects;
  readonly keys: KeyRing;
  readonly clock: BackupClock;
  readonly signal: AbortSignal;
}

export interface PruneReport {
  readonly decisions: readonly Decision[];
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
  if (dryRun) return { decisions, deletedObjects: 0 };
  let deletedObjects = 0;
  // Newest first, as they were decided: a backup goes before what it adds to.
  for (const { id, keep } of decisions) {
    if (!keep) deletedObjects += await deleteBackup(objects, id, signal);
  }
  return { decisions, deletedObjects };
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
