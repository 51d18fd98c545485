/** Backups for programs and for people. In: messages of the contract. Out: plain JSON, rows of tables. */
import type { backupsV1 as v1 } from '@flotilla/proto';

const TIME = (ms: bigint) => new Date(Number(ms)).toISOString();

export function backupJson(backup: v1.Backup): object {
  const { tables, parent, keyId, goneTables } = backup;
  return {
    id: backup.id,
    kind: kindOf(backup),
    ...(parent !== '' && { parent }),
    cluster_id: backup.clusterId,
    started_at: TIME(backup.startedAtMs),
    finished_at: TIME(backup.finishedAtMs),
    ...(keyId !== '' && { key_id: keyId }),
    table_count: Number(backup.tableCount),
    rows: Number(backup.rows),
    plain_bytes: Number(backup.plainBytes),
    stored_bytes: Number(backup.storedBytes),
    ...(tables.length > 0 && { tables: tables.map(tableJson) }),
    ...(goneTables.length > 0 && { gone_tables: goneTables }),
  };
}

function tableJson(table: v1.BackupTable): object {
  return {
    name: table.name,
    table_id: Number(table.tableId),
    epoch: Number(table.epoch),
    revision: Number(table.revision),
    since_revision: Number(table.sinceRevision),
    ...(table.wholeBecause !== '' && { whole_because: table.wholeBecause }),
    rows: Number(table.rows),
    deleted_keys: Number(table.deletedKeys),
    plain_bytes: Number(table.plainBytes),
    stored_bytes: Number(table.storedBytes),
    chunks: Number(table.chunks),
  };
}

export const BACKUP_HEAD = ['ID', 'KIND', 'FINISHED', 'TABLES', 'ROWS', 'STORED', 'KEY'];

export function backupRow(backup: v1.Backup): string[] {
  return [
    backup.id,
    kindOf(backup),
    TIME(backup.finishedAtMs),
    String(backup.tableCount),
    String(backup.rows),
    megabytes(backup.storedBytes),
    backup.keyId,
  ];
}

export const TABLE_HEAD = ['TABLE', 'REVISION', 'SINCE', 'ROWS', 'DELETED', 'STORED', 'NOTE'];

export function tableRow(table: v1.BackupTable): string[] {
  return [
    table.name,
    String(table.revision),
    String(table.sinceRevision),
    String(table.rows),
    String(table.deletedKeys),
    megabytes(table.storedBytes),
    table.wholeBecause,
  ];
}

export function kindOf({ parent }: v1.Backup): string {
  return parent === '' ? 'full' : 'incremental';
}

export function megabytes(bytes: bigint): string {
  return `${(Number(bytes) / 1e6).toFixed(1)} MB`;
}
