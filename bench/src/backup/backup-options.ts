/** What the command line of the benchmark of backups may say. */
import { Argument, Command, InvalidArgumentError } from 'commander';

export const BACKUP_BENCH = 'backup';

export interface BackupOptions {
  readonly nodes: number;
  readonly megabytes: number;
  /** Point reads a second, before and meanwhile. */
  readonly readRate: number;
  /** Of reads before the backup begins. */
  readonly seconds: number;
  readonly json?: string;
  readonly dataDir?: string;
  readonly profile?: string;
}

function count(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('must be a whole number above 0');
}

export function parseBackupOptions(argv: readonly string[]): BackupOptions {
  const command = new Command('bench')
    .description('measures a backup of a cluster, and its restore')
    .addArgument(new Argument('<scenario>').choices([BACKUP_BENCH]))
    .option('--nodes <n>', 'of the cluster', count, 1)
    .option('--megabytes <n>', 'of the table', count, 1_024)
    .option('--read-rate <n>', 'point reads a second', count, 500)
    .option('--seconds <n>', 'of reads before it begins', count, 10)
    .option('--json <file>', 'the JSON line also goes here')
    .option('--data-dir <dir>', 'where servers keep data; must be on a disk')
    .option('--profile <dir>', 'CPU profiles of the nodes and of the app go here');
  return command.parse(argv).opts<BackupOptions>();
}
