/**
 * Which pieces of logs are not needed any more, and their end.
 *
 *   a kept backup has the table       --> what ends at or before the oldest one of them goes
 *   none has it, the cluster does     --> everything stays: it may begin at revision 1
 *   none has it, nor has the cluster  --> a mark; everything goes once that is old enough
 *
 * In: backups that are kept, the tables of the cluster. Out: decisions. Nothing goes because something could not be
 * read, because the cluster was not asked, or because another cluster answered.
 */
import { type BackupClock } from '../clock.js';
import { sha256Of } from '../format/chunk-codec.js';
import { logEpochFolder, logTableFolder } from '../format/log-names.js';
import { type Manifest } from '../format/manifest.js';
import { isBackupError } from '../backup-error.js';
import { type BackupObjects } from '../objects/backup-objects.js';
import { type SourceCluster } from '../ports.js';
import { type LogCatalog, type ShippedEpoch } from './log-catalog.js';

export interface PruneLogsParts {
  readonly objects: BackupObjects;
  readonly logs: LogCatalog;
  readonly clock: Pick<BackupClock, 'wallMs'>;
  readonly signal: AbortSignal;
  /** Undefined if it is not known what there is. */
  readonly cluster: SourceCluster | undefined;
  /** After which what is gone goes here too. */
  readonly goneMs: number;
  readonly dryRun: boolean;
}

export interface LogDecision {
  /** The folder of the log. */
  readonly id: string;
  readonly kind: 'log';
  readonly keep: boolean;
  readonly reason: string;
}

export interface PrunedLogs {
  readonly decisions: readonly LogDecision[];
  readonly deletedObjects: number;
}

export async function pruneLogs(
  parts: PruneLogsParts,
  kept: readonly Manifest[],
): Promise<PrunedLogs> {
  const decisions: LogDecision[] = [];
  let deletedObjects = 0;
  for await (const shipped of parts.logs.all(parts.signal)) {
    const id = logEpochFolder(shipped.tableId, shipped.epoch);
    const tables = kept.flatMap((manifest) => manifest.tables);
    const revisions = tables
      .filter(({ tableId, epoch }) => tableId === shipped.tableId && epoch === shipped.epoch)
      .map(({ revision }) => revision);
    const due =
      revisions.length > 0
        ? beforeBackups(shipped, Math.min(...revisions))
        : await ofGone(parts, shipped);
    if (!due) continue;
    decisions.push({ id, kind: 'log', keep: due.names.length === 0, reason: due.reason });
    if (parts.dryRun) continue;
    await parts.objects.delete(due.names, parts.signal);
    deletedObjects += due.names.length;
  }
  if (!parts.dryRun) deletedObjects += await endTables(parts, kept);
  return { decisions, deletedObjects };
}

interface Due {
  readonly names: readonly string[];
  readonly reason: string;
}

function beforeBackups({ pieces }: ShippedEpoch, oldest: number): Due | undefined {
  const due = pieces.filter(({ last }) => last <= oldest);
  if (due.length === 0) return undefined;
  const reason = `${due.length} pieces up to revision ${oldest}, where the oldest kept backup is`;
  return { names: due.map(({ name }) => name), reason };
}

async function ofGone(parts: PruneLogsParts, shipped: ShippedEpoch): Promise<Due | undefined> {
  const { objects, clock, signal, cluster, goneMs, dryRun } = parts;
  const { tableId, epoch, pieces } = shipped;
  const mark = `${logEpochFolder(tableId, epoch)}gone.json`;
  if (!cluster || (await clusterOf(parts, tableId)) !== cluster.clusterId) return undefined;
  let goneAtMs: number | undefined;
  for await (const object of objects.list(mark, signal)) goneAtMs = object.modifiedAtMs;
  const isThere = cluster.tables.some((each) => each.tableId === tableId && each.epoch === epoch);
  if (isThere) {
    if (goneAtMs !== undefined && !dryRun) await objects.delete([mark], signal);
    return undefined;
  }
  if (goneAtMs === undefined) {
    const bytes = Buffer.from('{}\n');
    if (!dryRun) await objects.write(mark, bytes, sha256Of(bytes), signal);
    return { names: [], reason: 'its table is gone, and no kept backup has it' };
  }
  if (clock.wallMs() - goneAtMs < goneMs) {
    return { names: [], reason: 'its table is gone not long enough' };
  }
  const names = [...pieces.map(({ name }) => name), mark];
  return { names, reason: 'its table is gone, and no kept backup has it' };
}

/** Undefined if that cannot be told. */
async function clusterOf(
  { logs, signal }: PruneLogsParts,
  tableId: number,
): Promise<string | undefined> {
  try {
    return (await logs.table(tableId, signal))?.clusterId;
  } catch (error) {
    if (!isBackupError(error)) throw error;
    return undefined;
  }
}

/** Whose log it was is told until nothing of it is left. Objects that were deleted. */
async function endTables(parts: PruneLogsParts, kept: readonly Manifest[]): Promise<number> {
  const { objects, logs, signal, cluster } = parts;
  let deleted = 0;
  for (const tableId of await logs.tableIds(signal)) {
    const isOf = (table: { readonly tableId: number }) => table.tableId === tableId;
    const isWanted = [...(cluster?.tables ?? []), ...kept.flatMap(({ tables }) => tables)].some(
      isOf,
    );
    if (isWanted || !cluster || (await clusterOf(parts, tableId)) !== cluster.clusterId) continue;
    const names: string[] = [];
    for await (const { key } of objects.list(logTableFolder(tableId), signal)) names.push(key);
    if (names.some((name) => name.endsWith('.log'))) continue;
    await objects.delete(names, signal);
    deleted += names.length;
  }
  return deleted;
}
