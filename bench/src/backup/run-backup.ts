/** Runs the benchmark of backups to its end and prints what it measured: a table and one JSON line. */
import { writeFileSync } from 'node:fs';
import { type Figures, figureRows, roundedFigures } from '../replication/replication-report.js';
import { BackupBench } from './backup.js';
import { BACKUP_BENCH, parseBackupOptions } from './backup-options.js';

export function isBackupBench(argv: readonly string[]): boolean {
  return argv.slice(2).includes(BACKUP_BENCH);
}

/** `useDataDir` decides where servers keep their data, and refuses what is in memory. */
export async function runBackupBench(
  argv: readonly string[],
  useDataDir: (dataDir: string | undefined) => void,
): Promise<void> {
  const options = parseBackupOptions(argv);
  useDataDir(options.dataDir);
  const bench = new BackupBench(options, (line) => console.error(line));
  // Servers must not outlive whoever ends the benchmark early.
  const interrupt = () => void bench.dispose().finally(() => process.exit(1));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    const figures = await bench.run();
    const { nodes, readRate } = options;
    const head = `${BACKUP_BENCH}: a cluster of ${nodes}, ${readRate} reads a second meanwhile`;
    const line = backupLine(nodes, readRate, figures);
    console.log(`\n${[head, '', ...figureRows(figures)].join('\n')}\n\n${line}`);
    if (options.json !== undefined) writeFileSync(options.json, `${line}\n`);
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    await bench.dispose();
  }
}

export function backupLine(nodes: number, readRate: number, figures: Figures): string {
  return JSON.stringify({ scenario: BACKUP_BENCH, nodes, readRate, ...roundedFigures(figures) });
}
