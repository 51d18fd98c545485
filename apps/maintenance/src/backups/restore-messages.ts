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
    tables: tables.map(({ name, as, revision, readers, replacesTableId }) => ({
      table: name,
      as,
      revision: BigInt(revision),
      storedBytes: BigInt(readers.reduce((sum, { table }) => sum + table.storedBytes, 0)),
      backups: BigInt(readers.length),
      replacesTableId: BigInt(replacesTableId),
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
