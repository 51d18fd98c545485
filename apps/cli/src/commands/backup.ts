/** `flotilla backup`: makes, lists, checks, cleans up and restores backups, by the maintenance app. */
import { backupsV1 as v1 } from '@flotilla/proto';
import { type Command, Option } from 'commander';
import {
  backupJson,
  BACKUP_HEAD,
  backupRow,
  megabytes,
  TABLE_HEAD,
  tableRow,
} from '../backups/backup-json.js';
import { LOG_HEAD, logJson, logLine, logRow } from '../backups/log-json.js';
import { type BackupContext, withBackups } from '../backups/backup-context.js';
import { TableBars } from '../backups/table-bars.js';
import type { Printer } from '../output/printer.js';
import { EXIT_FAILED } from '../usage-error.js';
import { addFolderCommands } from './backup-folder.js';
import { addRestore } from './backup-restore.js';

const DEFAULT_ADDRESS = 'http://127.0.0.1:8445';

export function addBackup(program: Command): void {
  const backup = program
    .command('backup')
    .description('backups of a cluster in an object store')
    .addOption(
      new Option('--maintenance <address>', 'address of the maintenance app')
        .default(DEFAULT_ADDRESS)
        .env('FLOTILLA_MAINTENANCE'),
    );
  addCreate(backup);
  addList(backup);
  addShow(backup);
  addVerify(backup);
  addPrune(backup);
  addRestore(backup);
  addFolderCommands(backup);
}

interface CreateFlags {
  readonly incremental: boolean;
  readonly parent: string;
}

function addCreate(backup: Command): void {
  backup
    .command('create')
    .description('back up all tables, or those that are named')
    .argument('[tables...]')
    .option('--incremental', 'only what changed since the newest backup', false)
    .option('--parent <id>', 'what an incremental one adds to', '')
    .action((tables: string[], flags: CreateFlags, command: Command) =>
      withBackups(command, (context) => create(context, tables, flags)),
    );
}

async function create(
  { backups, printer }: BackupContext,
  tables: string[],
  { incremental, parent }: CreateFlags,
): Promise<void> {
  const isIncremental = incremental || parent !== '';
  const kind = isIncremental ? v1.BackupKind.INCREMENTAL : v1.BackupKind.FULL;
  const bars = new TableBars('backed up');
  let done: v1.Backup | undefined;
  try {
    for await (const { kind: step } of backups.create({ kind, tables, parent })) {
      if (step?.$case === 'begun') bars.begin(Number(step.value.tables));
      else if (step?.$case === 'table') bars.update(step.value);
      else if (step?.$case === 'done') done = step.value;
    }
  } finally {
    bars.stop();
  }
  if (!done) throw new Error('the maintenance app has not told how it ended');
  if (printer.format === 'json') await printer.json(backupJson(done));
  else {
    const { id, tableCount, rows, storedBytes } = done;
    const size = `${tableCount} tables, ${rows} rows, ${megabytes(storedBytes)}`;
    await printer.out.line(`Backup ${id} created: ${size}`);
  }
}

function addList(backup: Command): void {
  backup
    .command('list')
    .description('list the backups, and what is no backup')
    .action((_flags: unknown, command: Command) =>
      withBackups(command, async ({ backups, printer }) => {
        const { backups: good, unfinished, unreadable, logs } = await backups.list();
        if (printer.format === 'json') {
          const json = { backups: good.map(backupJson), unfinished: unfinishedJson(unfinished) };
          await printer.json({ ...json, unreadable, logs: logs.map(logJson) });
          return;
        }
        if (printer.format === 'table') await printer.table(BACKUP_HEAD, good.map(backupRow));
        else for (const each of good) await printer.out.line(backupRow(each).join(' ').trim());
        await printLogs(printer, logs);
        for (const { id, runner } of unfinished) {
          process.stderr.write(`${id} is not finished (begun by ${runner})\n`);
        }
        for (const { id, reason } of unreadable) {
          process.stderr.write(`${id} cannot be read: ${reason}\n`);
        }
      }),
    );
}

/** To which revisions and times tables can be restored beside the moments of backups. */
async function printLogs(printer: Printer, logs: readonly v1.ShippedLog[]): Promise<void> {
  if (logs.length === 0) return;
  if (printer.format === 'table') await printer.table(LOG_HEAD, logs.map(logRow));
  else for (const log of logs) await printer.out.line(logLine(log));
}

function unfinishedJson(unfinished: readonly v1.UnfinishedBackup[]): object[] {
  return unfinished.map(({ id, runner, aliveAtMs }) => {
    return { id, runner, alive_at: new Date(Number(aliveAtMs)).toISOString() };
  });
}

function addShow(backup: Command): void {
  backup
    .command('show')
    .description('what a backup holds; the newest one if none is named')
    .argument('[id]', '', '')
    .action((id: string, _flags: unknown, command: Command) =>
      withBackups(command, async ({ backups, printer }) => {
        const { backup: shown, chain } = await backups.show(id);
        if (!shown) throw new Error('the maintenance app has not told the backup');
        if (printer.format === 'json') {
          await printer.json({ ...backupJson(shown), chain });
          return;
        }
        await printer.out.line(backupRow(shown).join(' ').trim());
        if (chain.length > 1) await printer.out.line(`adds to ${chain.slice(0, -1).join(', ')}`);
        await printer.table(TABLE_HEAD, shown.tables.map(tableRow));
      }),
    );
}

function addVerify(backup: Command): void {
  backup
    .command('verify')
    .description('read everything of a backup again; exit code 1 if anything is damaged')
    .argument('[id]', '', '')
    .action((id: string, _flags: unknown, command: Command) =>
      withBackups(command, async ({ backups, printer }) => {
        let report: v1.VerifyBackupProgress_Report | undefined;
        for await (const { kind: step } of backups.verify(id)) {
          if (step?.$case === 'report') report = step.value;
        }
        if (!report) throw new Error('the maintenance app has not told how it ended');
        await printReport(printer, report);
        if (report.problemCount > 0n) process.exitCode = EXIT_FAILED;
      }),
    );
}

async function printReport(
  printer: Printer,
  report: v1.VerifyBackupProgress_Report,
): Promise<void> {
  const { id, rows, chunks, plainBytes, problemCount, problems } = report;
  if (printer.format === 'json') {
    const numbers = { rows: Number(rows), chunks: Number(chunks), plain_bytes: Number(plainBytes) };
    await printer.json({ id, ...numbers, problem_count: Number(problemCount), problems });
    return;
  }
  for (const { message } of problems) await printer.out.line(message);
  const found = problemCount === 0n ? 'is good' : `has ${problemCount} problems`;
  await printer.out.line(`Backup ${id} ${found}: ${rows} rows in ${chunks} chunks read`);
}

function addPrune(backup: Command): void {
  backup
    .command('prune')
    .description('delete what the retention of the maintenance app does not keep')
    .option('--dry-run', 'only say what would be deleted', false)
    .action(({ dryRun }: { dryRun: boolean }, command: Command) =>
      withBackups(command, async ({ backups, printer }) => {
        const { decisions, deletedObjects } = await backups.prune(dryRun);
        if (printer.format === 'json') {
          const deleted = Number(deletedObjects);
          await printer.json({ dry_run: dryRun, decisions, deleted_objects: deleted });
          return;
        }
        for (const { id, deleted, reason } of decisions) {
          const verb = dryRun ? 'would be deleted' : 'deleted';
          await printer.out.line(`${id} ${deleted ? verb : 'kept'}: ${reason}`);
        }
      }),
    );
}
