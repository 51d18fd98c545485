/**
 * `npm run soak`: follower clusters under all faults at once, for as long as wanted.
 *
 * Exit code 0 when all clusters were equal whenever they had to be, 1 when not, 2 for a command line that is none,
 * 130 after an interrupt: then nothing is left behind, and there is no verdict.
 */
import { randomInt } from 'node:crypto';
import { runProgram } from '../../harness/test-program.js';
import { parseSoakCommand, USAGE } from './soak-options.js';
import { runSoak, type SoakReport } from './soak-run.js';

const SEEDS = 1_000_000;

async function work(signal: AbortSignal): Promise<number> {
  const options = parseSoakCommand(process.argv.slice(2), randomInt(SEEDS));
  console.log(`seed ${options.seed}`);
  const print = (line: string) => console.log(line);
  const report = await runSoak({ ...options, print, signal });
  for (const line of linesOf(report, options.seed)) print(line);
  return report.violations.length === 0 ? 0 : 1;
}

function linesOf(report: SoakReport, seed: number): string[] {
  const faults = [...report.faults].sort(([one], [other]) => (one < other ? -1 : 1));
  const count = faults.reduce((all, [, times]) => all + times, 0);
  const { violations, longestHealMs, longestLagMs, longestLagRevisions } = report;
  return [
    `seed ${seed}: ${report.rounds} rounds, ${count} faults: ` +
      faults.map(([name, times]) => `${name} ${times}`).join(', '),
    `${report.writes} writes acknowledged, ${report.failedWrites} not; ${report.recoveries} copies made ` +
      `anew, ${report.batchesInDoubt} batches in doubt`,
    `longest lag ${longestLagMs.toFixed(0)} ms, ${longestLagRevisions} revisions; equal at the latest ` +
      `${longestHealMs.toFixed(0)} ms after the faults of a round; ${report.rows} rows of ` +
      `${report.tables} tables at the end`,
    ...violations.map((what) => `VIOLATION ${what}`),
    violations.length === 0 ? 'all clusters are equal' : `${violations.length} violations`,
  ];
}

await runProgram(USAGE, work);
