/** What the command line of the benchmarks may say. */
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { BACKUP_BENCH } from './backup/backup-options.js';
import { REPLICATION_BENCHES } from './replication/replication-options.js';
import { LOAD_BATCH } from './scenarios/prepare.js';
import { KEYS_MAX } from './scenarios/request-templates.js';
import { IMPORT_BATCH, type Scenario, SCENARIOS } from './scenarios/scenario.js';

export interface Options {
  readonly scenario: Scenario;
  readonly against?: 'etcd' | 'grpc-js';
  readonly engine?: string;
  readonly transport?: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly keys: number;
  readonly only?: string;
  readonly client: 'own' | 'h2load';
  readonly etcd?: string;
  readonly json?: string;
  readonly dataDir?: string;
  readonly profile?: string;
}

const ALL_KEYS_STEP = LOAD_BATCH * IMPORT_BATCH;

function count(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('must be a whole number above 0');
}

export function parseOptions(argv: readonly string[]): Options {
  const names = SCENARIOS.map(({ name }) => name);
  const command = new Command('bench')
    .description('measures our node, and another server beside it, with the same client')
    .addHelpText('after', `\nOf follower clusters: ${REPLICATION_BENCHES.join(', ')}`)
    .addHelpText('after', `Of backups: ${BACKUP_BENCH}`)
    .addArgument(new Argument('<scenario>').choices(names))
    .addOption(new Option('--against <server>', 'beside it').choices(['etcd', 'grpc-js']))
    .addOption(new Option('--engine <name>', 'our storage.engine'))
    .addOption(new Option('--transport <name>', 'our api.transport').choices(['native', 'grpc-js']))
    .option('--rounds <n>', 'of which medians are taken', count, 3)
    .option('--seconds <n>', 'of each measurement', count, 5)
    .option('--keys <n>', 'in the store', count)
    .option('--only <text>', 'only cases whose name has this in it')
    .addOption(
      new Option('--client <name>', 'that loads').choices(['own', 'h2load']).default('own'),
    )
    .option('--etcd <path>', 'an etcd to take instead of the one found')
    .option('--json <file>', 'the JSON lines also go here')
    .option('--data-dir <dir>', 'where servers keep data; must be on a disk')
    .option('--profile <dir>', 'CPU profiles of our nodes go here');
  const options = command
    .parse(argv)
    .opts<Omit<Options, 'scenario' | 'keys'> & { keys?: number }>();
  const found = SCENARIOS.find(({ name }) => name === command.args[0]);
  if (!found) throw new Error('there is no such scenario');
  const cases = found.cases.filter(({ label }) => label.includes(options.only ?? ''));
  if (cases.length === 0)
    command.error(`no case of ${found.name} has "${options.only}" in its name`);
  const scenario = { ...found, cases };
  return { ...options, scenario, keys: toKeys(options.keys ?? found.keysDefault, scenario) };
}

/** As many as whole batches need. */
function toKeys(wanted: number, { isLoaded, cases }: Scenario): number {
  const inBatches = cases.some(({ course }) => course === 'all-keys');
  const step = inBatches ? (isLoaded ? ALL_KEYS_STEP : IMPORT_BATCH) : LOAD_BATCH;
  const least = Math.max(...cases.map(({ keysEach }) => keysEach), step);
  return Math.min(Math.max(Math.ceil(wanted / step) * step, least), KEYS_MAX);
}
