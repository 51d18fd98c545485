/**
 * Runs one scenario against all contenders, side by side.
 *
 *   round: fresh servers if they were written to -> loaded -> restarted
 *     case: the floor, if it has one
 *       contender (the order turns from round to round): calm -> load -> answers checked
 *
 * Nothing is reported unless every answer was right.
 */
import { runLoad } from '../load/load-client.js';
import type { LoadPlan, LoadResult } from '../load/plan.js';
import { floorP50Ms } from '../measure/floor.js';
import { type Measurement, residentMiB, toMeasurement } from '../measure/measurement.js';
import { regattaProtocol } from '../servers/regatta-protocol.js';
import { ask, readRange, type Server } from '../servers/server.js';
import { ImportFile, runImport } from './import-command.js';
import { calm, expectKeys, loadKeys } from './prepare.js';
import { keyOf } from './request-templates.js';
import { type Case, type CaseRequest, type Scenario, VALUE_BYTES } from './scenario.js';

export interface Contender {
  readonly name: string;
  start(nodes: number): Promise<Server>;
}

export interface RunOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly keys: number;
  load(plan: LoadPlan): Promise<LoadResult>;
  /** Told what happens, for people. */
  say(line: string): void;
}

export interface ContenderResult {
  readonly name: string;
  readonly details: Readonly<Record<string, string>>;
  readonly rounds: Measurement[];
}

export interface CaseResult {
  readonly scenario: string;
  readonly label: string;
  /** In the order of the contenders. */
  readonly contenders: readonly ContenderResult[];
}

/** Before the measurement, of its time. */
const WARM_UP_PART = 0.5;
const WARM_UP_SECONDS_MAX = 3;
/** A store that was just started reads its files first: every key is asked for about once, if that is soon done. */
const WARM_UP_KEYS_PER_SECOND = 50_000;
const WARM_UP_KEYS_SECONDS_MAX = 40;
/** A key beside those that are loaded. */
const MARKER = Buffer.from('bench/marker');
/** Our revisions are places in the log, where a new leader leaves an entry of its own. */
const OTHER_ENTRIES_MAX = 4;

export async function runScenario(
  scenario: Scenario,
  contenders: readonly Contender[],
  options: RunOptions,
): Promise<readonly CaseResult[]> {
  const run = new ScenarioRun(scenario, contenders, options);
  // Servers must not outlive whoever ends the benchmark early.
  const interrupt = () => void run.dispose().finally(() => process.exit(1));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    return await run.run();
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    await run.dispose();
  }
}

class ScenarioRun {
  private servers: Server[] = [];
  private readonly file = new ImportFile();
  private readonly results: readonly CaseResult[];

  constructor(
    private readonly scenario: Scenario,
    private readonly contenders: readonly Contender[],
    private readonly options: RunOptions,
  ) {
    this.results = scenario.cases.map(({ label }) => ({
      scenario: scenario.name,
      label,
      contenders: contenders.map(({ name }) => ({ name, details: {}, rounds: [] })),
    }));
  }

  async run(): Promise<readonly CaseResult[]> {
    const { scenario, options } = this;
    if (scenario.cases.some(({ byCommand }) => byCommand)) await this.file.write(options.keys);
    for (let round = 0; round < options.rounds; round++) {
      if (round === 0 || scenario.writes) await this.replaceServers();
      for (const [at, each] of scenario.cases.entries()) await this.runCase(round, each, at);
    }
    return this.results.map((result) => ({
      ...result,
      contenders: result.contenders.map((contender, at) => ({
        ...contender,
        details: this.servers[at]?.details ?? {},
      })),
    }));
  }

  async dispose(): Promise<void> {
    this.file.remove();
    await Promise.all(this.servers.map((server) => server.dispose()));
  }

  private async replaceServers(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.dispose()));
    this.servers = [];
    for (const contender of this.contenders) {
      const server = await contender.start(this.scenario.nodes);
      this.servers.push(server);
      if (this.scenario.isLoaded) {
        this.options.say(`${contender.name}: loading ${this.options.keys} keys`);
        await loadKeys(server, this.options.keys);
      }
      await this.warmUp(server);
    }
  }

  /** A process that was just started has its hot code still to compile, and its caches to fill. */
  private async warmUp(server: Server): Promise<void> {
    const { cases, isLoaded, writes } = this.scenario;
    const [first] = cases;
    // etcd reads slower after puts: where both are measured, both begin with the measurement.
    if (!first || first.course !== 'timed' || (isLoaded && writes)) return;
    const plan = this.plan(server, first, first.requests(server.protocol));
    const keysSeconds = isLoaded ? this.options.keys / WARM_UP_KEYS_PER_SECOND : 0;
    const seconds = Math.max(WARM_UP_SECONDS_MAX, Math.min(keysSeconds, WARM_UP_KEYS_SECONDS_MAX));
    const course = { kind: 'timed', warmUpSeconds: 0, seconds } as const;
    await runLoad({ ...plan, course });
  }

  private async runCase(round: number, each: Case, at: number): Promise<void> {
    const floorMs =
      each.floorBytes === undefined
        ? undefined
        : await floorP50Ms(each.floorBytes, this.options.seconds / 2);
    for (let turn = 0; turn < this.servers.length; turn++) {
      const which = (turn + round) % this.servers.length;
      const server = this.servers[which];
      const rounds = this.results[at]?.contenders[which]?.rounds;
      if (!server || !rounds) continue;
      if (!(await calm(this.servers))) this.options.say('the servers did not become calm');
      const measured = await this.measure(server, each, floorMs);
      rounds.push(measured);
      const rate = Math.round(measured.requestsPerSecond);
      const cpu = measured.cpuMicrosPerRequest.toFixed(1);
      this.options.say(
        `round ${round + 1}, ${each.label}, ${this.contenders[which]?.name}: ` +
          `${rate}/s, ${cpu} us CPU each`,
      );
    }
  }

  private async measure(
    server: Server,
    each: Case,
    floorMs: number | undefined,
  ): Promise<Measurement> {
    const rssBeforeMiB = residentMiB(server.pids);
    const memory = () => ({ rssBeforeMiB, rssAfterMiB: residentMiB(server.pids) });
    const { keys } = this.options;
    if (each.byCommand && server.protocol === regattaProtocol) {
      const { keys: requests, ...figures } = await runImport(server, this.file, keys);
      await expectKeys(server, keys);
      const load = { requests, ...figures, p50Ms: undefined, p99Ms: undefined };
      return toMeasurement(load, 1, memory(), floorMs);
    }
    const requests = each.requests(server.protocol);
    const writes = requests.some((request) => request.writes);
    const revision = writes ? await putMarker(server) : 0;
    const result = await this.options.load(this.plan(server, each, requests));
    await this.check(server, requests, result, revision);
    if (each.course === 'all-keys') await expectKeys(server, keys);
    const keysEach = each.course === 'all-keys' ? each.keysEach : 1;
    return toMeasurement(result, keysEach, memory(), floorMs);
  }

  private plan(server: Server, each: Case, requests: readonly CaseRequest[]): LoadPlan {
    const { keys, seconds } = this.options;
    const [host = '', port = ''] = server.address.split(':');
    const warmUpSeconds = Math.min(seconds * WARM_UP_PART, WARM_UP_SECONDS_MAX);
    return {
      host,
      port: Number(port),
      connections: each.connections,
      streams: each.streams,
      templates: requests.map(({ template }) => template),
      keys,
      keysEach: each.keysEach,
      course:
        each.course === 'timed'
          ? { kind: 'timed', warmUpSeconds, seconds }
          : { kind: 'counted', requests: keys / each.keysEach },
      pids: server.pids,
    };
  }

  /** What the load client counted must be what a real client finds. */
  private async check(
    server: Server,
    requests: readonly CaseRequest[],
    result: LoadResult,
    revisionBefore: number,
  ): Promise<void> {
    let writes = 0;
    for (const [at, request] of requests.entries()) {
      const { answered, answerBytesMin, name } = result.templates[at] ?? {};
      if (answered === undefined || answerBytesMin === undefined) throw new Error('no result');
      if (answerBytesMin < request.answerBytesLeast) {
        throw new Error(`${server.name}: an answer to ${name} had ${answerBytesMin} bytes only`);
      }
      if (request.writes) writes += answered;
    }
    if (writes > 0) checkRevision(server, writes, revisionBefore, await putMarker(server));
    if (!this.scenario.isLoaded) return;
    const { values } = await readRange(server, { key: keyOf(0), isLinearizable: true });
    if (values[0]?.length !== VALUE_BYTES) {
      throw new Error(`${server.name}: the first key has not its value any more`);
    }
  }
}

/** Puts a key of its own and returns the revision of that. */
async function putMarker(server: Server): Promise<number> {
  const { protocol } = server;
  const request = protocol.put({ key: MARKER, value: MARKER });
  return protocol.readRevision(await ask(server, protocol.putPath, request));
}

/** Each acknowledged put has a revision of its own between those of the two markers. */
function checkRevision(server: Server, writes: number, before: number, after: number): void {
  const others = after - before - 1 - writes;
  if (others >= 0 && others <= OTHER_ENTRIES_MAX) return;
  throw new Error(
    `${server.name}: ${writes} puts were acknowledged, but its revision went from ${before} to ` +
      `${after}`,
  );
}
