/** What the command line of `npm run soak` says, checked. In: arguments. Out: options, or a usage error. */
import { numberOption, parsedOptions } from '../../harness/test-program.js';

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

export function parseSoakCommand(args: readonly string[], freshSeed: number): SoakOptions {
  const { minutes, seed } = parse(args);
  return {
    seed: numberOption('seed', seed, 0, SEED_MAX) ?? freshSeed,
    forMs: (numberOption('minutes', minutes, 0, MINUTES_MAX) ?? MINUTES_DEFAULT) * 60_000,
  };
}

function parse(args: readonly string[]): { minutes?: string; seed?: string } {
  const text = { type: 'string' } as const;
  return parsedOptions(args, { minutes: text, seed: text });
}
