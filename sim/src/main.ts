/**
 * `npm run sim`: simulations of whole clusters, from seeds.
 *
 *   --seed S --steps N   this one, which goes the same way every time
 *   --minutes M          as many as fit, with new seeds
 *
 * Ends with 1 when something that must always hold did not; says the seed and what happened last.
 */
import { randomInt } from 'node:crypto';
import { Command, InvalidArgumentError, Option } from 'commander';
import { PLANTS, isPlantName } from './plants.js';
import { Simulation, type SimulationReport } from './simulation.js';

const SEED_MAX = 2 ** 31;
const STEPS_DEFAULT = 20_000;
/** Lines of the nodes' logs that are shown after a violation. */
const LINES_SHOWN = 120;

interface Options {
  readonly seed?: number;
  readonly steps: number;
  readonly minutes: number;
  readonly plant?: string;
  readonly verbose?: boolean;
  readonly keepGoing?: boolean;
}

function integer(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError('must be a whole number');
}

function positive(text: string): number {
  const value = Number(text);
  if (value > 0) return value;
  throw new InvalidArgumentError('must be above 0');
}

async function main(): Promise<number> {
  const command = new Command('sim')
    .description('simulates whole clusters from a seed and judges all that happens')
    .option('--seed <number>', 'the one to run; new ones until the time is over without', integer)
    .option('--steps <number>', 'events of trouble in each run', integer, STEPS_DEFAULT)
    .option('--minutes <number>', 'for how long, without a seed', positive, 1)
    .addOption(new Option('--plant <bug>', 'a bug to find').choices(Object.keys(PLANTS)))
    .option('--keep-going', 'goes on with the next seed after a violation')
    .option('--verbose', 'what happened, also where nothing is wrong');
  const options = command.parse().opts<Options>();
  if (options.seed !== undefined) return runOne(options.seed, options);
  return runMany(options);
}

async function runOne(seed: number, options: Options): Promise<number> {
  const report = await simulate(seed, options);
  console.log(lineOf(report));
  console.log(`digest ${report.digest}`);
  if (options.verbose) for (const line of report.lines) console.log(line);
  if (!report.violation) return 0;
  show(report, options);
  return 1;
}

async function runMany(options: Options): Promise<number> {
  const untilMs = performance.now() + options.minutes * 60_000;
  const first = randomInt(SEED_MAX);
  const wrong: number[] = [];
  const sums = { runs: 0, simulatedMs: 0, faults: 0, acknowledged: 0, reads: 0, elections: 0 };
  for (let seed = first; performance.now() < untilMs; seed++) {
    const report = await simulate(seed, options);
    console.log(lineOf(report));
    sums.runs++;
    sums.simulatedMs += report.simulatedMs;
    sums.faults += report.faults;
    sums.acknowledged += report.acknowledged;
    sums.reads += report.reads;
    sums.elections += report.elections;
    if (report.violation) {
      show(report, options);
      wrong.push(seed);
      if (!options.keepGoing) break;
    }
  }
  const hours = (sums.simulatedMs / 3_600_000).toFixed(2);
  console.log(
    `seeds ${first} to ${first + sums.runs - 1}: ${sums.runs} runs, ${hours} simulated hours, ` +
      `${sums.faults} faults, ${sums.elections} elections, ${sums.acknowledged} acknowledged ` +
      `writes, ${sums.reads} linearizable reads, ` +
      (wrong.length === 0 ? 'no violation' : `violations in ${wrong.join(', ')}`),
  );
  return wrong.length === 0 ? 0 : 1;
}

function simulate(seed: number, { steps, plant }: Options): Promise<SimulationReport> {
  const name = plant !== undefined && isPlantName(plant) ? plant : undefined;
  return new Simulation({ seed, steps, plant: name }).run();
}

function lineOf(report: SimulationReport): string {
  const { seed, steps, simulatedMs, faults, elections, acknowledged, reads, violation } = report;
  const { nodes, tables } = report.profile;
  return [
    `seed ${seed}: ${nodes} nodes, ${tables} tables, ${steps} events,`,
    `${(simulatedMs / 1000).toFixed(0)} s, ${faults} faults, ${elections} elections,`,
    `${acknowledged} writes, ${reads} reads: ${violation ? 'VIOLATION' : 'right'}`,
  ].join(' ');
}

function show(report: SimulationReport, { steps, plant }: Options): void {
  const { seed, violation, lines, profile } = report;
  console.error(`\nprofile: ${JSON.stringify(profile)}`);
  for (const line of lines.slice(-LINES_SHOWN)) console.error(line);
  console.error(`\n${violation?.stack ?? String(violation)}`);
  const planted = plant === undefined ? '' : ` --plant ${plant}`;
  console.error(`\nagain: npm run sim -- --seed ${seed} --steps ${steps}${planted}`);
}

process.exitCode = await main();
