/** Restores as callers are told of them. In: plans and outcomes. Out: messages of the contract. */
import { type backupsV1 as v1 } from '@flotilla/proto';
import { type RestorePlan } from './restore-plan.js';
import { type RestoredOne } from './restore-run.js';

export function toPlan(
  { id, tables }: RestorePlan,
  dryRun: boolean,
): v1.RestoreBackupProgress_Plan {
  return {
    id,
    dryRun,
    tables: tables.map(({ name, as, revision, replacesTableId, ...table }) => ({
      table: name,
      as,
      revision: BigInt(revision),
      storedBytes: BigInt(table.storedBytes),
      backups: BigInt(table.backups),
      replacesTableId: BigInt(replacesTableId),
      backupRevision: BigInt(table.backupRevision),
    })),
  };
}

export function toDone(restored: readonly RestoredOne[]): v1.RestoreBackupProgress_Done {
  const tables = restored.map(({ planned, restored: table }) => ({
    table: planned.name,
    as: planned.as,
    tableId: BigInt(table.tableId),
    revision: BigInt(table.revision),
    epoch: BigInt(table.epoch),
    rows: BigInt(table.rows),
    bytes: BigInt(table.bytes),
    resumed: table.resumed,
  }));
  return { tables };
}
