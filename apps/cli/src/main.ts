/**
 * The program `flotilla`. Exit codes: 0 done, 1 failed, 2 called the wrong way; errors go to
 * standard error.
 */
import { ClientError } from '@flotilla/client';
import { createProgram } from './program.js';
import { EXIT_FAILED, EXIT_USAGE, UsageError } from './usage-error.js';

try {
  await createProgram().parseAsync();
} catch (error) {
  process.stderr.write(`Error: ${describe(error)}\n`);
  process.exitCode = error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED;
}

function describe(error: unknown): string {
  if (error instanceof ClientError) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}
