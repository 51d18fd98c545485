/** Backups as callers are told of them. In: manifests and reports. Out: messages of the contract. */
import {
  type BackupEvent,
  type BackupListing,
  type ListedLog,
  type Manifest,
  type ManifestTable,
} from '@flotilla/backup';
import { backupsV1 as v1 } from '@flotilla/proto';

export function toBackup(manifest: Manifest, withTables: boolean): v1.Backup {
  const { id, kind, parent, clusterId, startedAt, finishedAt, keyId, tables } = manifest;
  const sum = (of: (table: ManifestTable) => number) =>
    BigInt(tables.reduce((total, table) => total + of(table), 0));
  return {
    id,
    kind: kind === 'full' ? v1.BackupKind.FULL : v1.BackupKind.INCREMENTAL,
    parent: parent ?? '',
    clusterId,
    startedAtMs: BigInt(Date.parse(startedAt)),
    finishedAtMs: BigInt(Date.parse(finishedAt)),
    keyId,
    tables: withTables ? tables.map(toTable) : [],
    tableCount: BigInt(tables.length),
    rows: sum(({ rows }) => rows),
    plainBytes: sum(({ plainBytes }) => plainBytes),
    storedBytes: sum(({ storedBytes }) => storedBytes),
    goneTables: [...manifest.goneTables],
  };
}

function toTable(table: ManifestTable): v1.BackupTable {
  return {
    name: table.name,
    tableId: BigInt(table.tableId),
    epoch: BigInt(table.epoch),
    revision: BigInt(table.revision),
    sinceRevision: BigInt(table.sinceRevision),
    wholeBecause: table.wholeBecause,
    rows: BigInt(table.rows),
    deletedKeys: BigInt(table.deletedKeys),
    plainBytes: BigInt(table.plainBytes),
    storedBytes: BigInt(table.storedBytes),
    chunks: BigInt(table.chunks),
  };
}

export function toListing(
  { good, unfinished, unreadable }: BackupListing,
  logs: readonly ListedLog[],
): v1.ListBackupsResponse {
  return {
    backups: good.map((manifest) => toBackup(manifest, false)),
    unfinished: unfinished.map(({ id, begun, aliveAtMs }) => ({
      id,
      runner: begun?.runner ?? '',
      aliveAtMs: BigInt(Math.floor(aliveAtMs)),
    })),
    unreadable: [...unreadable],
    logs: logs.map(toLog),
  };
}

function toLog(log: ListedLog): v1.ShippedLog {
  return {
    table: log.table,
    tableId: BigInt(log.tableId),
    epoch: BigInt(log.epoch),
    firstRevision: BigInt(log.first),
    lastRevision: BigInt(log.last),
    firstAtMs: BigInt(log.firstAtMs),
    lastAtMs: BigInt(log.lastAtMs),
    storedBytes: BigInt(log.storedBytes),
    objects: BigInt(log.objects),
    restorableFrom: BigInt(log.restorableFrom),
    restorableFromMs: BigInt(log.restorableFromMs),
  };
}

export function tableProgress(
  table: string,
  rows: number,
  bytes: number,
  marks: { readonly done?: boolean; readonly gone?: boolean } = {},
): v1.TableProgress {
  const { done = false, gone = false } = marks;
  return { table, rows: BigInt(rows), bytes: BigInt(bytes), done, gone };
}

export function toProgress(event: BackupEvent): v1.CreateBackupProgress {
  switch (event.kind) {
    case 'begun': {
      const { id, resumed, tables } = event;
      const begun = { id, resumed, tables: BigInt(tables) };
      return { kind: { $case: 'begun', value: begun } };
    }
    case 'table': {
      const { rows, deletedKeys, plainBytes } = event.written;
      const marks = { done: event.done };
      const table = tableProgress(event.table, rows + deletedKeys, plainBytes, marks);
      return { kind: { $case: 'table', value: table } };
    }
    case 'gone': {
      const table = tableProgress(event.table, 0, 0, { gone: true });
      return { kind: { $case: 'table', value: table } };
    }
  }
}
