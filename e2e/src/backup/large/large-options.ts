/** What the command line of `npm run backup:large` says, checked. In: arguments. Out: options, or a usage error. */
import { tmpdir } from 'node:os';
import { parsedOptions, UsageError } from '../../harness/test-program.js';

export const USAGE = `npm run backup:large -- [--size SIZE] [--seed S] [--folder DIR]

  --size SIZE   of the values, such as 300MiB or 4.5GiB, which it is without it; free disk of five times as much
                is needed
  --seed S      of the values; 1 without it
  --folder DIR  where everything is written; the system's temporary folder without it. All of it is deleted
                at the end`;

const UNITS: ReadonlyMap<string, number> = new Map([
  ['MiB', 1024 ** 2],
  ['GiB', 1024 ** 3],
]);
const SIZE_DEFAULT = '4.5GiB';
const BYTES_MIN = 1024 ** 2;
const BYTES_MAX = 1024 ** 4;
const SEED_MAX = 2 ** 32 - 1;

export interface LargeCommand {
  readonly bytes: number;
  readonly seed: number;
  readonly folder: string;
}

export function parseLargeCommand(args: readonly string[]): LargeCommand {
  const { size, seed, folder } = parse(args);
  const number = Number(seed ?? 1);
  if (seed === '' || !Number.isInteger(number) || number < 0 || number > SEED_MAX) {
    throw new UsageError(`--seed must be a whole number from 0 to ${SEED_MAX}`);
  }
  return { bytes: bytesOf(size ?? SIZE_DEFAULT), seed: number, folder: folder ?? tmpdir() };
}

function bytesOf(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)(MiB|GiB)$/.exec(text) ?? [];
  const bytes = Math.ceil(Number(number) * (UNITS.get(unit) ?? NaN));
  if (bytes >= BYTES_MIN && bytes <= BYTES_MAX) return bytes;
  throw new UsageError('--size must be from 1MiB to 1024GiB, such as 300MiB or 4.5GiB');
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  return parsedOptions(args, { size: text, seed: text, folder: text });
}
