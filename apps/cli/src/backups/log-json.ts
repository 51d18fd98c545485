/** Shipped logs for programs and for people. In: messages of the contract. Out: plain JSON, rows of tables. */
import type { backupsV1 as v1 } from '@flotilla/proto';
import { megabytes } from './backup-json.js';

export function logJson(log: v1.ShippedLog): object {
  const { restorableFrom } = log;
  return {
    table: log.table,
    table_id: Number(log.tableId),
    epoch: Number(log.epoch),
    first_revision: Number(log.firstRevision),
    last_revision: Number(log.lastRevision),
    ...timeJson('first_at', log.firstAtMs),
    ...timeJson('last_at', log.lastAtMs),
    stored_bytes: Number(log.storedBytes),
    objects: Number(log.objects),
    ...(restorableFrom > 0n && { restorable_from: Number(restorableFrom) }),
    ...timeJson('restorable_from_time', log.restorableFromMs),
  };
}

export const LOG_HEAD = ['TABLE', 'ID', 'FROM REVISION', 'FROM', 'TO REVISION', 'TO', 'STORED'];

export function logRow(log: v1.ShippedLog): string[] {
  const { table, tableId, restorableFrom, restorableFromMs, lastRevision, lastAtMs } = log;
  const from = restorableFrom > 0n ? String(restorableFrom) : needs(log);
  return [
    table,
    String(tableId),
    from,
    restorableFrom > 0n ? time(restorableFromMs) : '',
    String(lastRevision),
    time(lastAtMs),
    megabytes(log.storedBytes),
  ];
}

export function logLine(log: v1.ShippedLog): string {
  const { table, restorableFrom, restorableFromMs, lastRevision, lastAtMs } = log;
  const to = `revision ${lastRevision} (${time(lastAtMs)})`;
  if (restorableFrom === 0n) return `Table ${table}: log to ${to} ${needs(log)}`;
  const from = `revision ${restorableFrom} (${time(restorableFromMs)})`;
  return `Table ${table} can be restored from ${from} to ${to}`;
}

function needs({ firstRevision }: v1.ShippedLog): string {
  return `needs a backup at ${firstRevision - 1n} or later`;
}

function time(ms: bigint): string {
  return ms === 0n ? 'unknown' : new Date(Number(ms)).toISOString();
}

function timeJson(name: string, ms: bigint): object {
  return ms === 0n ? {} : { [name]: new Date(Number(ms)).toISOString() };
}
