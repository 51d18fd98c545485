/**
 * `npm run faults:backup`: backups, prunes and restores while processes are killed, for as long as wanted.
 *
 * Exit code 0 when everything held, 1 after a problem, 2 for a command line that is none, 130 after an
 * interrupt: then nothing is left behind, and there is no verdict.
 */
import { randomInt } from 'node:crypto';
import { runProgram } from '../../harness/test-program.js';
import { parseBackupCommand, USAGE } from './options.js';
import { backupReportLines } from './report.js';
import { runBackupFaults } from './run.js';

const SEEDS = 1_000_000;

async function work(signal: AbortSignal): Promise<number> {
  const options = parseBackupCommand(process.argv.slice(2), randomInt(SEEDS));
  console.log(`seed ${options.seed}, store ${options.store}, ${options.nodes} nodes`);
  const print = (line: string) => console.log(`${new Date().toISOString()} ${line}`);
  const report = await runBackupFaults({ ...options, print, signal });
  for (const line of backupReportLines(report, options.seed)) console.log(line);
  return report.problems.length === 0 ? 0 : 1;
}

await runProgram(USAGE, work);
