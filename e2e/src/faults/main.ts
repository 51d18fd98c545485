/**
 * `npm run faults`: faults on real processes, for as long as wanted.
 *
 * Exit code 0 when everything held, 1 after a violation, 2 for a command line that is none, 130 after
 * an interrupt: then nothing is left behind, and there is no verdict.
 */
import { randomInt } from 'node:crypto';
import { runProgram } from '../harness/test-program.js';
import { parseCommand, USAGE } from './options.js';
import { reportLines } from './report.js';
import { runRound } from './round.js';

const SEEDS = 1_000_000;

async function work(signal: AbortSignal): Promise<number> {
  const options = parseCommand(process.argv.slice(2), randomInt(SEEDS));
  console.log(`seed ${options.seed}`);
  const print = (line: string) => console.log(line);
  const report = await runRound({ ...options, print, signal });
  for (const line of reportLines(report, options.seed)) console.log(line);
  return report.violations.length === 0 ? 0 : 1;
}

await runProgram(USAGE, work);
