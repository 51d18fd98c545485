/** What the command line of `npm run soak` says, checked. In: arguments. Out: options, or a usage error. */
import { parseArgs } from 'node:util';

export const USAGE = `npm run soak -- [--minutes N] [--seed S]

  --minutes N   how long faults go on; 10 without it
  --seed S      draws the same faults again; printed at the beginning`;

const MINUTES_DEFAULT = 10;
const MINUTES_MAX = 24 * 60;
const SEED_MAX = 2 ** 32 - 1;

export interface SoakOptions {
  readonly seed: number;
  readonly forMs: number;
}

export class UsageError extends Error {
  readonly code = 'USAGE';
  readonly retryable = false;
}

export function parseSoakCommand(args: readonly string[], freshSeed: number): SoakOptions {
  const { minutes, seed } = parse(args);
  return {
    seed: number('seed', seed, 0, SEED_MAX) ?? freshSeed,
    forMs: (number('minutes', minutes, 0, MINUTES_MAX) ?? MINUTES_DEFAULT) * 60_000,
  };
}

function parse(args: readonly string[]): { minutes?: string; seed?: string } {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({ args: [...args], options: { minutes: text, seed: text } }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function number(
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
