/**
 * What a restore to a revision or a time is going to do, before it does anything.
 *
 * In: what is stored, a wish, the tables that the cluster has. Out: for each table the backup it begins with and
 * the pieces of the log that go on from there, or an error that names what is missing.
 */
import {
  BackupCatalog,
  BackupError,
  type BackupObjects,
  historiesOf,
  type KeyRing,
  LogCatalog,
  type Manifest,
  planPoint,
  type Point,
  type PointPlan,
  pointSources,
  readersOf,
  shippedNames,
  type ShippedNames,
  type SourceTable,
  type TableInBackup,
  wasSeen,
} from '@flotilla/backup';
import {
  checkNames,
  type PlannedTable,
  type RestorePlan,
  type RestoreWish,
  target,
} from './restore-plan.js';

export interface PointWishParts {
  readonly objects: BackupObjects;
  readonly keys: KeyRing;
  readonly there: readonly SourceTable[];
  readonly signal: AbortSignal;
}

/** Undefined if the wish is for a backup as it is. */
export function pointOf(wish: RestoreWish): Point | undefined {
  const { atRevision, atMs, beforeMs, tables } = wish;
  if (atRevision === undefined && atMs === undefined) return undefined;
  if (beforeMs !== 0 || (atRevision !== undefined && atMs !== undefined)) {
    throw new BackupError('INVALID', 'at_revision, at_ms and before_ms: only one can be');
  }
  if (atMs !== undefined) return { kind: 'time', atMs };
  if (tables.length !== 1) {
    throw new BackupError('INVALID', 'at_revision: exactly one table has to be named');
  }
  const revision = atRevision ?? 0;
  if (revision >= 1) return { kind: 'revision', revision };
  throw new BackupError('INVALID', 'at_revision: revisions begin at 1');
}

export async function planPointRestore(
  { objects, keys, there, signal }: PointWishParts,
  wish: RestoreWish,
  point: Point,
): Promise<RestorePlan> {
  const catalog = new BackupCatalog(objects, keys);
  const logs = new LogCatalog(objects, keys);
  // Of a backup that is named, only that one is gone on from.
  const good =
    wish.id === '' ? (await catalog.list(signal)).good : await only(catalog, wish, signal);
  const shipped = await shippedNames(logs, signal);
  const chainOf = async ({ manifest, table }: TableInBackup) => {
    const chain = await catalog.chain(manifest.id, signal);
    readersOf(chain, table, objects, keys);
    return chain;
  };
  const names = namesOf(wish, good, shipped);
  checkNames(
    names.map(({ name }) => name),
    wish,
  );
  const tables: PlannedTable[] = [];
  const ids = new Set<string>();
  for (const { name, isCertain } of names) {
    const histories = await historiesOf(name, good, logs, shipped, signal);
    const parts = { logs, chainOf, signal };
    if (!isCertain && !(await wasSeen(parts, histories, point))) continue;
    const plan = await planPoint(parts, name, histories, point, shipped.unreadable);
    if (plan.backup) ids.add(plan.backup.manifest.id);
    tables.push(tableOf(plan, target(name, wish, there), objects, keys));
  }
  if (tables.length === 0) throw new BackupError('BACKUP_NOT_FOUND', 'nothing was seen by then');
  return { id: [...ids].sort().at(-1) ?? '', tables };
}

function tableOf(
  plan: PointPlan,
  named: ReturnType<typeof target>,
  objects: BackupObjects,
  keys: KeyRing,
): PlannedTable {
  const { backup, history, pieces, revision } = plan;
  const readers = backup ? readersOf(backup.chain, backup.table, objects, keys) : [];
  const ofBackups = readers.reduce((sum, { table }) => sum + table.storedBytes, 0);
  const from = backup?.manifest.id ?? 'log';
  return {
    ...named,
    revision,
    backupRevision: backup?.table.revision ?? 0,
    storedBytes: pieces.reduce((sum, { sizeBytes }) => sum + sizeBytes, ofBackups),
    backups: readers.length,
    purpose: `restore/${from}/${history.tableId}/${revision}`,
    sources: (signal) => pointSources(plan, objects, keys, signal),
  };
}

async function only(
  catalog: BackupCatalog,
  { id }: RestoreWish,
  signal: AbortSignal,
): Promise<readonly Manifest[]> {
  return [await catalog.find(id, signal)];
}

interface Named {
  readonly name: string;
  /** That it was not there yet is an error. */
  readonly isCertain: boolean;
}

function namesOf(
  { tables }: RestoreWish,
  good: readonly Manifest[],
  shipped: ShippedNames,
): readonly Named[] {
  if (tables.length > 0) return tables.map((name) => ({ name, isCertain: true }));
  const known = new Set(good.flatMap((manifest) => manifest.tables.map(({ name }) => name)));
  for (const { name } of shipped.tables.values()) known.add(name);
  return [...known].sort().map((name) => ({ name, isCertain: false }));
}
