/** What the command line of `npm run faults:backup` says, checked. In: arguments. Out: options, or a usage error. */
import { numberOption, parsedOptions, UsageError } from '../../harness/test-program.js';
import { STORE_KINDS, type StoreKind } from './backup-site.js';

export const USAGE = `npm run faults:backup -- [--rounds N] [--minutes M] [--seed S] [--store file|s3] [--nodes 1|3]

  --rounds N    ends after so many; 50 without it and without --minutes
  --minutes M   how long it goes on
  --seed S      draws the same work and the same kills again; printed at the beginning
  --store KIND  where backups lie: file, a folder (without it), or s3, a server of the tests that is killed, too
  --nodes N     of the cluster: 1, or 3 without it`;

const ROUNDS_DEFAULT = 50;
const ROUNDS_MAX = 100_000;
const MINUTES_MAX = 24 * 60;
const NODES_DEFAULT = 3;
const SEED_MAX = 2 ** 32 - 1;

export interface BackupCommand {
  readonly seed: number;
  readonly rounds: number;
  readonly forMs: number;
  readonly store: StoreKind;
  readonly nodes: number;
}

export function parseBackupCommand(args: readonly string[], freshSeed: number): BackupCommand {
  const values = parse(args);
  const minutes = numberOption('minutes', values.minutes, 0, MINUTES_MAX);
  const roundsDefault = minutes === undefined ? ROUNDS_DEFAULT : ROUNDS_MAX;
  const store = STORE_KINDS.find((each) => each === (values.store ?? 'file'));
  if (!store) throw new UsageError(`--store must be ${STORE_KINDS.join(' or ')}`);
  const nodes = numberOption('nodes', values.nodes, 1, NODES_DEFAULT) ?? NODES_DEFAULT;
  if (nodes !== 1 && nodes !== NODES_DEFAULT) throw new UsageError('--nodes must be 1 or 3');
  return {
    seed: numberOption('seed', values.seed, 0, SEED_MAX) ?? freshSeed,
    rounds: numberOption('rounds', values.rounds, 1, ROUNDS_MAX) ?? roundsDefault,
    forMs: minutes === undefined ? Infinity : minutes * 60_000,
    store,
    nodes,
  };
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const options = { rounds: text, minutes: text, seed: text, store: text, nodes: text };
  return parsedOptions(args, options);
}
