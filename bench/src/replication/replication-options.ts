/** What the command line of the replication benchmarks may say. */
import { Argument, Command, InvalidArgumentError } from 'commander';

export const REPLICATION_BENCHES = [
  'lag',
  'catch-up',
  'bootstrap',
  'replicated-snapshot',
  'idle-tables',
] as const;
export type ReplicationBench = (typeof REPLICATION_BENCHES)[number];

export interface ReplicationOptions {
  readonly bench: ReplicationBench;
  /** Of the leader cluster. */
  readonly nodes: number;
  /** From the follower cluster to the leader cluster, each way. */
  readonly linkDelayMs: number;
  readonly seconds: number;
  /** Puts a second. */
  readonly rate: number;
  /** Writes of catch-up, and keys of bootstrap. */
  readonly keys: number;
  readonly megabytes: number;
  readonly tables: number;
  readonly json?: string;
  readonly dataDir?: string;
}

const DELAY_MS_MAX = 10_000;

function count(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('must be a whole number above 0');
}

function delay(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0 && value <= DELAY_MS_MAX) return value;
  throw new InvalidArgumentError(`must be a whole number from 0 to ${DELAY_MS_MAX}`);
}

export function parseReplicationOptions(argv: readonly string[]): ReplicationOptions {
  const command = new Command('bench')
    .description('measures a leader cluster and a follower cluster with their gateways')
    .addArgument(new Argument('<scenario>').choices(REPLICATION_BENCHES))
    .option('--nodes <n>', 'of the leader cluster', count, 3)
    .option('--link-delay-ms <n>', 'between the clusters, each way', delay, 0)
    .option('--seconds <n>', 'of each measurement', count, 10)
    .option('--rate <n>', 'puts a second of lag', count, 5_000)
    .option('--keys <n>', 'writes of catch-up, keys of bootstrap', count, 200_000)
    .option('--megabytes <n>', 'of the table of replicated-snapshot', count, 1_024)
    .option('--tables <n>', 'of idle-tables', count, 1_000)
    .option('--json <file>', 'the JSON line also goes here')
    .option('--data-dir <dir>', 'where servers keep data; must be on a disk');
  const options = command.parse(argv).opts<Omit<ReplicationOptions, 'bench'>>();
  const bench = REPLICATION_BENCHES.find((name) => name === command.args[0]);
  if (!bench) throw new Error('there is no such scenario');
  return { ...options, bench };
}
