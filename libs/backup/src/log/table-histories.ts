/**
 * What is stored of the tables that a name has meant: each with its backups, and its log.
 *
 *   a table, restored in place --> another id; deleted and made anew --> another id, revisions from 1
 *
 * In: good backups, the catalog of logs, a name. Out: histories, the youngest first. A history is told by
 * cluster, id and epoch; two of them are never mixed.
 */
import { isBackupError } from '../backup-error.js';
import { type LogTable } from '../format/log-table.js';
import { type Manifest, type ManifestTable } from '../format/manifest.js';
import { type LogCatalog } from './log-catalog.js';
import { type LogPiece } from './log-coverage.js';

export interface TableInBackup {
  readonly manifest: Manifest;
  readonly table: ManifestTable;
}

export interface TableHistory {
  readonly name: string;
  readonly clusterId: string;
  readonly tableId: number;
  readonly epoch: number;
  /** From the newest to the oldest. */
  readonly backups: readonly TableInBackup[];
  readonly pieces: readonly LogPiece[];
}

export interface ShippedNames {
  /** What is told of tables that logs were shipped of, by their ids. */
  readonly tables: ReadonlyMap<number, LogTable>;
  /** Why some cannot be told. */
  readonly unreadable: readonly string[];
}

export async function shippedNames(logs: LogCatalog, signal: AbortSignal): Promise<ShippedNames> {
  const tables = new Map<number, LogTable>();
  const unreadable: string[] = [];
  for (const tableId of await logs.tableIds(signal)) {
    try {
      const table = await logs.table(tableId, signal);
      if (table) tables.set(tableId, table);
    } catch (error) {
      if (!isBackupError(error)) throw error;
      unreadable.push(error.message);
    }
  }
  return { tables, unreadable };
}

export async function historiesOf(
  name: string,
  good: readonly Manifest[],
  logs: LogCatalog,
  shipped: ShippedNames,
  signal: AbortSignal,
): Promise<readonly TableHistory[]> {
  const histories = new Map<string, TableHistory & { readonly backups: TableInBackup[] }>();
  const find = async (clusterId: string, tableId: number, epoch: number) => {
    const key = `${clusterId}/${tableId}/${epoch}`;
    const known = histories.get(key);
    if (known) return known;
    // Two clusters give the same ids: the log of one is none of the other's.
    const isOurs = (shipped.tables.get(tableId)?.clusterId ?? clusterId) === clusterId;
    const pieces = isOurs ? await logs.pieces(tableId, epoch, signal) : [];
    const history = { name, clusterId, tableId, epoch, backups: [], pieces };
    histories.set(key, history);
    return history;
  };
  for (const manifest of good.toReversed()) {
    for (const table of manifest.tables) {
      if (table.name !== name) continue;
      const history = await find(manifest.clusterId, table.tableId, table.epoch);
      history.backups.push({ manifest, table });
    }
  }
  for (const table of shipped.tables.values()) {
    if (table.name !== name) continue;
    for (const epoch of await logs.epochs(table.tableId, signal)) {
      await find(table.clusterId, table.tableId, epoch);
    }
  }
  return [...histories.values()].sort((a, b) => b.epoch - a.epoch || b.tableId - a.tableId);
}
