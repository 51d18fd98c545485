/**
 * What the long-running test programs have in common: their command lines, their ends.
 *
 * In: arguments as they were typed, and what to do until a signal is aborted. Out: checked values, or a
 * UsageError that names the option; and an exit code: 2 for a command line that is none, 130 after an
 * interrupt.
 */
import { parseArgs, type ParseArgsConfig } from 'node:util';

export class UsageError extends Error {
  readonly code = 'USAGE';
  readonly retryable = false;
}

/** As `parseArgs`; what it does not know is a UsageError. */
export function parsedOptions<T extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: T,
): ReturnType<typeof parseArgs<{ options: T }>>['values'] {
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** A number from `least` to `most`; undefined where the option is not there. */
export function numberOption(
  name: string,
  text: string | undefined,
  least: number,
  most: number,
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text === '' || !(value >= least && value <= most)) {
    throw new UsageError(`--${name} must be a number from ${least} to ${most}`);
  }
  return value;
}

class InterruptedError extends Error {}

/**
 * Ends the process with what `work` yields, whatever is still open: everything is said by then.
 * `work` rejects with the reason of its signal when it was interrupted.
 */
export async function runProgram(
  usage: string,
  work: (signal: AbortSignal) => Promise<number>,
): Promise<never> {
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => interrupted.abort(new InterruptedError(name)));
  }
  try {
    process.exit(await work(interrupted.signal));
  } catch (error) {
    if (error instanceof InterruptedError) process.exit(130);
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n\n${usage}`);
    process.exit(2);
  }
}
