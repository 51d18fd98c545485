/**
 * `npm run faults`: faults on real processes, for as long as wanted.
 *
 * Exit code 0 when everything held, 1 after a violation, 2 for a command line that is none, 130 after
 * an interrupt: then nothing is left behind, and there is no verdict.
 */
import { randomInt } from 'node:crypto';
import { parseCommand, USAGE, UsageError } from './options.js';
import { reportLines } from './report.js';
import { runRound } from './round.js';

const SEEDS = 1_000_000;

async function main(): Promise<number> {
  const options = parseCommand(process.argv.slice(2), randomInt(SEEDS));
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => interrupted.abort(new InterruptedError(signal)));
  }
  console.log(`seed ${options.seed}`);
  const print = (line: string) => console.log(line);
  const report = await runRound({ ...options, print, signal: interrupted.signal });
  for (const line of reportLines(report, options.seed)) console.log(line);
  return report.violations.length === 0 ? 0 : 1;
}

class InterruptedError extends Error {}

try {
  // Connections that the harness swallowed may still be held open by what is left of them: everything
  // is said by now, and nothing is waited for.
  process.exit(await main());
} catch (error) {
  if (error instanceof InterruptedError) process.exit(130);
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${USAGE}`);
  process.exit(2);
}
