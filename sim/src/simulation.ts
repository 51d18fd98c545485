/**
 * One deployment from a seed: it is founded, lives through faults while clients use it, and comes to
 * rest.
 *
 *   founding --> trouble, for so many events --> calm: everything heals --> judged at rest
 *
 * At rest everything that was acknowledged must be there, on every replica alike, every table must
 * take writes through every node again, and nothing that was begun may be left undone.
 */
import { type LogFields } from '@flotilla/platform';
import { InvariantError, SimRandom, SimWorld } from '@flotilla/raft/testing';
import { Faults } from './faults.js';
import { judgeAtRest } from './at-rest.js';
import { Judge } from './judge.js';
import { plantInGroup, plantInStorage, type PlantName } from './plants.js';
import { drawProfile, type Profile } from './profile.js';
import { SimClient } from './sim-client.js';
import { SimDisk } from './sim-disk.js';
import { SimNetwork } from './sim-network.js';
import { SimNode, type NodeHooks, type NodeSettings } from './sim-node.js';

/** Lines of the nodes' logs that are kept for whoever looks at a violation. */
const LINES_MAX = 400;
/** How long founding may take, and everything that was begun may take to end. */
const FOUNDING_MAX_MS = 60_000;
export const REST_MAX_MS = 240_000;

export interface SimulationOptions {
  readonly seed: number;
  /** Events of trouble. */
  readonly steps: number;
  readonly plant?: PlantName | undefined;
  /** What is not left to chance. */
  readonly profile?: Partial<Profile>;
}

export interface SimulationReport {
  readonly seed: number;
  readonly violation: Error | undefined;
  readonly simulatedMs: number;
  readonly steps: number;
  readonly faults: number;
  readonly acknowledged: number;
  readonly reads: number;
  readonly elections: number;
  readonly commits: number;
  /** Of everything that was applied and told: the same seed gives the same. */
  readonly digest: string;
  readonly lines: readonly string[];
  readonly profile: Profile;
}

export class Simulation {
  readonly world = new SimWorld();
  readonly random: SimRandom;
  readonly judge = new Judge();
  readonly network: SimNetwork;
  readonly profile: Profile;
  readonly nodes = new Map<number, SimNode>();
  readonly clients: SimClient[] = [];
  /** Names of tables: there for good, or coming and going. */
  readonly stableTables: string[] = [];
  readonly otherTables = new Set<string>();
  readonly lines: string[] = [];
  /** Until then clients ask nothing, so that groups fall asleep. */
  quietUntilMs = 0;
  phase: 'founding' | 'trouble' | 'calm' = 'founding';
  /** What became of nodes on purpose: they may be told to go. */
  readonly leaving = new Set<number>();
  readonly faults: Faults;
  private readonly hooks: NodeHooks;

  constructor(private readonly options: SimulationOptions) {
    this.random = new SimRandom(options.seed);
    this.profile = { ...drawProfile(this.random), ...options.profile };
    this.network = new SimNetwork(this.world, this.random);
    this.hooks = this.makeHooks();
    this.faults = new Faults(this);
  }

  async run(): Promise<SimulationReport> {
    const stop = this.watchRejections();
    try {
      await this.found();
      await this.trouble();
      await this.calm();
    } finally {
      stop();
    }
    return this.report();
  }

  /** Nodes that are not out for good. */
  members(): SimNode[] {
    return [...this.nodes.values()].filter(({ state }) => state !== 'out');
  }

  up(): SimNode[] {
    return this.members().filter(({ core }) => core !== undefined);
  }

  addNode(id: number, address: string, joins: boolean, members: string): SimNode {
    const { profile, world, random, network, hooks } = this;
    const flags = [...profile.flags, '--memberlist.cluster-name=sim'];
    const settings: NodeSettings = { id, address, members, joins, flags };
    const disk = new SimDisk(random, profile.disk);
    const node = new SimNode(settings, disk, world, random, network, hooks);
    this.nodes.set(id, node);
    return node;
  }

  note(text: string): void {
    this.lines.push(`${(this.world.nowMs / 1000).toFixed(3)} ${text}`);
    if (this.lines.length > LINES_MAX) this.lines.splice(0, this.lines.length - LINES_MAX);
  }

  fail(invariant: string, detail: string): void {
    this.judge.violation ??= new InvariantError(invariant, detail);
  }

  /** Lets time pass until `isDone`, or for so long. Says whether it is done. */
  async until(isDone: () => boolean, timeoutMs: number): Promise<boolean> {
    const endMs = this.world.nowMs + timeoutMs;
    while (!isDone()) {
      if (this.judge.violation || this.world.nowMs > endMs) return false;
      await this.world.step();
    }
    return true;
  }

  /** Lets time pass until a promise settles; false when it has not in time. */
  async settled(work: Promise<unknown>, timeoutMs: number): Promise<boolean> {
    let isDone = false;
    const done = () => (isDone = true);
    work.then(done, done);
    return this.until(() => isDone, timeoutMs);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.world.at(delayMs, resolve));
  }

  private async found(): Promise<void> {
    const { profile } = this;
    const addresses = Array.from({ length: profile.nodes }, (_, at) => `10.0.0.${at + 1}:5012`);
    const members = addresses.map((address, at) => `${at + 1}=${address}`).join(',');
    for (const [at, address] of addresses.entries()) {
      this.addNode(at + 1, address, false, members).start();
    }
    for (let table = 1; table <= profile.tables; table++) {
      const founded = this.createFirst(`t${table}`);
      if (!(await this.settled(founded, FOUNDING_MAX_MS)) && !this.judge.violation) {
        this.fail('founding', `table t${table} could not be created`);
      }
    }
    for (let id = 1; id <= profile.clients; id++) {
      this.clients.push(new SimClient(id, this.clientWorld(), profile.thinkMaxMs));
    }
  }

  private async createFirst(name: string): Promise<void> {
    for (;;) {
      const outcome = await this.faults.askAnyNode((core) => core.cluster.admin.create(name));
      if (outcome?.kind === 'created' || outcome?.kind === 'exists') break;
      await this.sleep(100);
    }
    this.stableTables.push(name);
  }

  private async trouble(): Promise<void> {
    this.phase = 'trouble';
    this.network.use(this.profile.network);
    const running = this.clients.map((client) => client.run());
    this.faults.begin();
    const end = this.world.steps + this.options.steps;
    while (this.world.steps < end && !this.judge.violation) await this.world.step();
    this.phase = 'calm';
    this.faults.end();
    await this.settled(Promise.all(running), REST_MAX_MS);
  }

  private async calm(): Promise<void> {
    if (this.judge.violation) return;
    await this.settled(judgeAtRest(this), 2 * REST_MAX_MS);
    if (this.judge.violation) return;
    const { judge } = this;
    if (this.stableTables.length === 0 || judge.raft.commits === 0) {
      this.fail('progress', 'nothing happened');
    }
  }

  private clientWorld() {
    return {
      world: this.world,
      random: this.random,
      judge: this.judge,
      nodes: () => this.members(),
      tables: () => ({
        stable: this.stableTables,
        all: [...this.stableTables, ...this.otherTables],
      }),
      goesOn: () => this.phase === 'trouble',
      quietMs: () => this.quietUntilMs - this.world.nowMs,
    };
  }

  private makeHooks(): NodeHooks {
    const { random, profile, judge } = this;
    const plant = this.options.plant;
    const planted = new WeakSet<object>();
    return {
      clockOptions: () => ({
        clockRate: 1 + (random.next() * 2 - 1) * profile.clockDrift,
        wallOffsetMs: random.next() * profile.wallOffsetMaxMs,
      }),
      active: (node) => {
        if (plant && node.core) {
          const { catalog, tables } = node.core.cluster;
          for (const group of [catalog.group, ...Array.from(tables.all(), (each) => each.group)]) {
            if (planted.has(group)) continue;
            planted.add(group);
            plantInGroup(plant, group);
          }
        }
        // What happens now is looked at once it has come to rest.
        this.world.afterStep(node, () => judge.looks(node));
      },
      opened: (node, log) => {
        plantInStorage(plant, node, log);
        judge.watchLog(node, log);
      },
      applied: (node, group, entries, results) => judge.applied(node, group, entries, results),
      fatal: (node, error) => this.ended(node, error),
      stranger: (node, reason) => this.strange(node, reason),
      log: (node, level, message, fields) => this.noteLog(node, level, message, fields),
    };
  }

  /** A node cannot go on: as it should be on a failing disk, and never otherwise. */
  private ended(node: SimNode, error: unknown): void {
    this.note(`node ${node.id} ended: ${String(error)}`);
    if (!node.disk.failing) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.fail('a node goes on', `node ${node.id} ended: ${text}`);
      return;
    }
    node.end('killed');
    this.faults.startLater(node);
  }

  private strange(node: SimNode, reason: string): void {
    this.note(`node ${node.id} is told to go: ${reason}`);
    if (!this.leaving.has(node.id)) this.fail('membership', `node ${node.id} was told: ${reason}`);
    node.retire();
  }

  private noteLog(node: SimNode, level: string, message: string, fields: LogFields): void {
    const shown = Object.entries(fields).map(([name, value]) => {
      if (value instanceof Error) return `${name}=${value.message}`;
      return `${name}=${JSON.stringify(value)}`;
    });
    this.note(`node ${node.id} ${level}: ${message} ${shown.join(' ')}`);
  }

  /** A promise that nobody waits for failed: in a node, that is the end of its process. */
  private watchRejections(): () => void {
    const failed = (error: unknown) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.fail('unhandled rejection', text);
    };
    process.on('unhandledRejection', failed);
    return () => void process.off('unhandledRejection', failed);
  }

  private report(): SimulationReport {
    const { judge, world, lines, profile } = this;
    const tables = [...judge.tables.values()];
    const sum = (of: (table: (typeof tables)[number]) => number) =>
      tables.reduce((total, table) => total + of(table), 0);
    return {
      seed: this.options.seed,
      violation: judge.violation,
      simulatedMs: world.nowMs,
      steps: world.steps,
      faults: this.faults.count,
      acknowledged: sum(({ acknowledged }) => acknowledged),
      reads: sum(({ readCount }) => readCount),
      elections: judge.raft.elections,
      commits: judge.raft.commits,
      digest: judge.digest(),
      lines,
      profile,
    };
  }
}
