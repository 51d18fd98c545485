/**
 * `npm run backup:large`: more data than fits into memory through a backup and back.
 *
 * Exit code 0 when the restored table is what was written, 1 when not, 2 for a command line that is none, 130
 * after an interrupt. Nothing is left behind.
 */
import { runProgram } from '../../harness/test-program.js';
import { parseLargeCommand, USAGE } from './large-options.js';
import { runLarge } from './large-run.js';

async function work(signal: AbortSignal): Promise<number> {
  const command = parseLargeCommand(process.argv.slice(2));
  const print = (line: string) => console.log(line);
  const problems = await runLarge({ ...command, print, signal });
  for (const what of problems) print(`PROBLEM ${what}`);
  print(problems.length === 0 ? 'restored as it was' : `${problems.length} problems`);
  return problems.length === 0 ? 0 : 1;
}

await runProgram(USAGE, work);
