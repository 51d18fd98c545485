/** `flotilla backup restore`: tables of a backup, or as they were at a point, under new names or in place. */
import type { backupsV1 as v1 } from '@flotilla/proto';
import { type Command, Option } from 'commander';
import { UsageError } from '../usage-error.js';
import { type BackupContext, withBackups } from '../backups/backup-context.js';
import { megabytes } from '../backups/backup-json.js';
import { TableBars } from '../backups/table-bars.js';
import type { Printer } from '../output/printer.js';

interface RestoreFlags {
  readonly id: string;
  readonly before: bigint;
  readonly revision: bigint | undefined;
  readonly at: bigint | undefined;
  readonly inPlace: boolean;
  readonly as: string;
  readonly dryRun: boolean;
  readonly replaceUnfinished: boolean;
}

export function addRestore(backup: Command): void {
  backup
    .command('restore')
    .description('restore all tables of a backup, or those that are named')
    .argument('[tables...]')
    .option('--id <id>', 'backup; the newest one if none is named', '')
    .addOption(
      new Option('--before <time>', 'the newest backup that was finished by then, as ISO 8601')
        .default(0n, 'now')
        .argParser((text) => toTime('--before', text)),
    )
    .addOption(
      new Option('--revision <n>', 'the one table at this revision, with the shipped log')
        .argParser(toRevision)
        .conflicts(['before', 'at']),
    )
    .addOption(
      new Option('--at <time>', 'tables at this time (ISO 8601 or ms), with the shipped log')
        .argParser((text) => toTime('--at', text))
        .conflicts('before'),
    )
    .option('--as <name>', 'name of the restored table, where one is restored', '')
    .option('--in-place', 'replace the tables of the same names', false)
    .option('--dry-run', 'only say what would be done', false)
    .option('--replace-unfinished', 'give up what another restore has begun', false)
    .action((tables: string[], flags: RestoreFlags, command: Command) =>
      withBackups(command, (context) => restore(context, tables, flags)),
    );
}

async function restore(
  { backups, printer }: BackupContext,
  tables: string[],
  flags: RestoreFlags,
): Promise<void> {
  const bars = new TableBars('restored');
  let done: v1.RestoreBackupProgress_Done | undefined;
  try {
    const { before: beforeMs, revision: atRevision, at: atMs, ...flagged } = flags;
    const wish = { ...flagged, tables, beforeMs, atRevision, atMs };
    for await (const { kind: step } of backups.restore(wish)) {
      if (step?.$case === 'plan') {
        if (flags.dryRun) await printPlan(printer, step.value);
        else bars.begin(step.value.tables.length);
      } else if (step?.$case === 'table') bars.update(step.value);
      else if (step?.$case === 'done') done = step.value;
    }
  } finally {
    bars.stop();
  }
  if (flags.dryRun) return;
  if (!done) throw new Error('the maintenance app has not told how it ended');
  await printDone(printer, done);
}

async function printPlan(printer: Printer, plan: v1.RestoreBackupProgress_Plan): Promise<void> {
  if (printer.format === 'json') {
    const tables = plan.tables.map((table) => ({
      table: table.table,
      as: table.as,
      revision: Number(table.revision),
      stored_bytes: Number(table.storedBytes),
      backups: Number(table.backups),
      ...logJson(table),
      ...(table.replacesTableId > 0n && { replaces_table_id: Number(table.replacesTableId) }),
    }));
    await printer.json({ dry_run: true, id: plan.id, tables });
    return;
  }
  for (const planned of plan.tables) {
    const { table, as, revision, storedBytes, backups, replacesTableId } = planned;
    const from = `${megabytes(storedBytes)} of ${backups} backups${logText(planned)}`;
    const what = replacesTableId > 0n ? ', which is replaced' : '';
    const line = `Table ${table} at revision ${revision} would become ${as}${what}, from ${from}`;
    await printer.out.line(line);
  }
}

async function printDone(printer: Printer, done: v1.RestoreBackupProgress_Done): Promise<void> {
  if (printer.format === 'json') {
    const tables = done.tables.map((table) => ({
      table: table.table,
      as: table.as,
      table_id: Number(table.tableId),
      revision: Number(table.revision),
      epoch: Number(table.epoch),
      rows: Number(table.rows),
      bytes: Number(table.bytes),
      resumed: table.resumed,
    }));
    await printer.json({ tables });
    return;
  }
  for (const { table, as, rows, bytes, revision } of done.tables) {
    const size = `${rows} rows, ${megabytes(bytes)}`;
    await printer.out.line(`Table ${table} restored as ${as}: ${size}, revision ${revision}`);
  }
}

/** Where the log goes on from a backup, if it does. */
function logFrom({ backupRevision, revision }: v1.RestoreBackupProgress_PlannedTable) {
  return backupRevision === undefined || backupRevision === revision ? undefined : backupRevision;
}

function logJson(table: v1.RestoreBackupProgress_PlannedTable): object {
  const from = logFrom(table);
  return from === undefined ? {} : { backup_revision: Number(from) };
}

function logText(table: v1.RestoreBackupProgress_PlannedTable): string {
  const from = logFrom(table);
  return from === undefined ? '' : ` and the log from revision ${from + 1n} on`;
}

/** Milliseconds since the epoch, as they are or as a date. */
function toTime(flag: string, text: string): bigint {
  const ms = /^\d{12,15}$/.test(text) ? Number(text) : Date.parse(text);
  if (Number.isNaN(ms)) throw new UsageError(`${flag}: expected a time, got "${text}"`);
  return BigInt(ms);
}

function toRevision(text: string): bigint {
  const isNumber = /^\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text));
  if (isNumber && Number(text) >= 1) return BigInt(text);
  throw new UsageError(`--revision: expected a revision of 1 or larger, got "${text}"`);
}
