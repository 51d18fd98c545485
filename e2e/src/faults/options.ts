/** What the command line of `npm run faults` says, checked. In: arguments. Out: options, or a usage error. */
import { numberOption, parsedOptions, UsageError } from '../harness/test-program.js';
import { FAULT_KINDS, type FaultKind } from './schedule.js';

export const USAGE = `npm run faults -- [--minutes N] [--rounds N] [--seed S] [--kind KIND,...] [--clients N] [--keep]

  --minutes N   how long faults go on; 5 without it and without --rounds
  --rounds N    ends after so many episodes; with one kind each episode is one fault
  --seed S      draws the same faults again; printed at the beginning
  --kind KIND   only these: ${FAULT_KINDS.join(', ')}
  --clients N   how many clients ask at a time; 16 without it
  --keep        keeps all histories and what the nodes wrote, whatever the verdict`;

const MINUTES_DEFAULT = 5;
const CLIENTS_DEFAULT = 16;
const CLIENTS_MAX = 256;
const SEED_MAX = 2 ** 32 - 1;

export interface CommandOptions {
  readonly seed: number;
  readonly forMs: number;
  readonly episodesMax: number;
  readonly kinds: readonly FaultKind[];
  readonly clients: number;
  readonly keepHistories: boolean;
}

export function parseCommand(args: readonly string[], freshSeed: number): CommandOptions {
  const values = parse(args);
  const rounds = numberOption('rounds', values.rounds, 1, Number.MAX_SAFE_INTEGER);
  const minutes = numberOption('minutes', values.minutes, 0, 24 * 60);
  const noEnd = rounds === undefined ? MINUTES_DEFAULT * 60_000 : Infinity;
  return {
    seed: numberOption('seed', values.seed, 0, SEED_MAX) ?? freshSeed,
    forMs: minutes === undefined ? noEnd : minutes * 60_000,
    episodesMax: rounds ?? Infinity,
    kinds: values.kind === undefined ? FAULT_KINDS : kindsOf(values.kind),
    clients: numberOption('clients', values.clients, 1, CLIENTS_MAX) ?? CLIENTS_DEFAULT,
    keepHistories: values.keep ?? false,
  };
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  return parsedOptions(args, {
    minutes: text,
    rounds: text,
    seed: text,
    kind: text,
    clients: text,
    keep: { type: 'boolean' },
  });
}

function kindsOf(text: string): FaultKind[] {
  return text.split(',').map((name) => {
    const kind = FAULT_KINDS.find((each) => each === name);
    if (!kind) throw new UsageError(`there is no fault ${name}`);
    return kind;
  });
}
