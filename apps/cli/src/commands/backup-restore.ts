/** `flotilla backup restore`: tables of a backup, under new names or in place. */
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
        .argParser(toTime),
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
    const { before: beforeMs, ...wish } = flags;
    for await (const { kind: step } of backups.restore({ ...wish, beforeMs, tables })) {
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
      ...(table.replacesTableId > 0n && { replaces_table_id: Number(table.replacesTableId) }),
    }));
    await printer.json({ dry_run: true, id: plan.id, tables });
    return;
  }
  for (const { table, as, revision, storedBytes, backups, replacesTableId } of plan.tables) {
    const from = `${megabytes(storedBytes)} of ${backups} backups`;
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

function toTime(text: string): bigint {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new UsageError(`--before: expected a time, got "${text}"`);
  return BigInt(ms);
}
