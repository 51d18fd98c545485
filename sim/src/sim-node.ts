/**
 * One simulated machine: a disk, and the process that runs on it now, if any.
 *
 *   down --start--> up --killed, power cut, stopped--> down
 *                    \--told that it is none of the cluster's--> out, for good
 *
 * What runs is the node of the product (`NodeCore`) over simulated storage, clock and transport.
 */
import {
  drawUuid,
  kvNodeSchema,
  NodeCore,
  type KvNodeConfig,
  type NodeIdentity,
} from '@flotilla/kv-node/simulation';
import { formatProblem, loadConfig, type LogFields, type Logger } from '@flotilla/platform';
import { HostError, openLogStore, type LogStore } from '@flotilla/raft';
import { type SimRandom, type SimWorld } from '@flotilla/raft/testing';
import { type SimDisk } from './sim-disk.js';
import { type SimNetwork } from './sim-network.js';
import { SimProcess, type ProcessOptions } from './sim-process.js';
import { simTransport } from './transport/sim-transport.js';

/** Small, so that segments, caches and reads from disk matter. */
const LOG_STORE = { segmentBytesMax: 32 * 1024, cacheBytesMax: 8 * 1024, heldBytesMax: 512 };
/** A few pairs and stretches, so that something has to go all the time. */
const VERSION_CACHE_BYTES = 4 * 1024;
const RANGE_CACHE_BYTES = 16 * 1024;
const JOIN_TIMEOUT_MS = 10 * 60_000;
const HAND_OVER_MS = 5_000;
const PEERS_GRACE_MS = 500;

export interface NodeSettings {
  readonly id: number;
  readonly address: string;
  /** `id=address,...` of whom it knows at first. */
  readonly members: string;
  readonly joins: boolean;
  readonly flags: readonly string[];
}

/** What a simulation wants to know of, and to put into, every process of a node. */
export interface NodeHooks {
  readonly clockOptions: (node: number) => ProcessOptions;
  readonly active: (node: SimNode) => void;
  /** Before anything runs on it. */
  readonly opened: (node: SimNode, log: LogStore) => void;
  readonly applied: (...told: Parameters<Applied>) => void;
  readonly fatal: (node: SimNode, error: unknown) => void;
  readonly stranger: (node: SimNode, reason: string) => void;
  readonly log: (node: SimNode, level: string, message: string, fields: LogFields) => void;
}

type Applied = (
  node: SimNode,
  group: number,
  entries: Parameters<NonNullable<Parts['observer']>['applied']>[1],
  results: readonly unknown[],
) => void;
type Parts = ConstructorParameters<typeof NodeCore>[0];

export class SimNode {
  state: 'down' | 'up' | 'out' = 'down';
  private process: SimProcess | undefined;
  private running: NodeCore | undefined;
  /** It was told to stop: what it began may end as it likes. */
  private isStopping = false;
  private endTransport: ((silently: boolean) => void) | undefined;
  /** Starts so far. */
  lives = 0;

  constructor(
    readonly settings: NodeSettings,
    readonly disk: SimDisk,
    private readonly world: SimWorld,
    private readonly random: SimRandom,
    private readonly network: SimNetwork,
    private readonly hooks: NodeHooks,
  ) {}

  get id(): number {
    return this.settings.id;
  }

  /** Set while the node is up and put together. */
  get core(): NodeCore | undefined {
    return this.running;
  }

  get isPaused(): boolean {
    return this.process?.isPaused ?? false;
  }

  get clock() {
    return this.process?.clock;
  }

  start(): void {
    if (this.state !== 'down') return;
    this.state = 'up';
    this.isStopping = false;
    this.lives++;
    const options = this.hooks.clockOptions(this.id);
    const process = new SimProcess(this.world, this.random, options, () => this.hooks.active(this));
    this.process = process;
    this.disk.attach(process);
    process.enter(() => {
      // What goes wrong before the node runs ends it, as it does when a real one cannot start.
      this.boot(process).catch((error: unknown) => this.failed(process, error));
    });
  }

  /** The process ends at once, `killed`, or with its machine, `power`. */
  end(how: 'killed' | 'power'): void {
    const { process } = this;
    if (this.state !== 'up' || !process) return;
    this.state = 'down';
    process.end();
    this.endTransport?.(how === 'power');
    this.disk.detach(how);
    this.process = undefined;
    this.running = undefined;
    this.endTransport = undefined;
  }

  /** As SIGTERM does: hands over what it leads, closes everything, ends. */
  stop(): void {
    const { process, running } = this;
    if (!process || !running || this.isStopping) return;
    this.isStopping = true;
    process.enter(() => {
      const stopped = this.stopParts(running).then(() => {
        if (this.process === process) this.end('killed');
      });
      stopped.catch((error: unknown) => this.failed(process, error));
    });
  }

  pause(forMs: number): void {
    this.process?.pause(forMs);
  }

  resume(): void {
    this.process?.resume();
  }

  /** Nobody starts it again. */
  retire(): void {
    this.end('killed');
    this.state = 'out';
  }

  /** Something a client does at this node; nothing if it is not up. */
  enter(task: (core: NodeCore) => void): boolean {
    const { process, running } = this;
    if (!process || !running) return false;
    process.enter(() => {
      if (this.running === running) task(running);
    });
    return true;
  }

  private async boot(process: SimProcess): Promise<void> {
    const log = await openLogStore('/log', {
      ...LOG_STORE,
      ...this.disk.log,
      files: this.disk.files,
    });
    this.hooks.opened(this, log);
    const { engine } = this.disk;
    const transport = simTransport({
      world: this.world,
      random: this.random,
      network: this.network,
      process,
    });
    this.endTransport = (silently) => transport.end(silently);
    const core = new NodeCore({
      config: this.config(),
      own: this.identity(process),
      storage: { log, engine, engineIsDurable: true },
      clock: process.clock,
      transport,
      logger: this.logger(''),
      onFatal: (error) => this.failed(process, error),
      onStranger: (reason) => {
        if (this.process === process) this.hooks.stranger(this, reason);
      },
      observer: {
        applied: (group, entries, results) => this.hooks.applied(this, group, entries, results),
      },
    });
    this.running = core;
    await core.connect();
    core.disk.start();
    core.keeper.start();
    core.history.start();
    await core.cluster.join(JOIN_TIMEOUT_MS);
  }

  private async stopParts(core: NodeCore): Promise<void> {
    await core.cluster.leadership.handOverAll(HAND_OVER_MS);
    await core.cluster.stop();
    await core.history.stop();
    await core.keeper.stop();
    core.disk.stop();
    await core.peers.close(PEERS_GRACE_MS);
    await core.stop();
  }

  private failed(process: SimProcess, error: unknown): void {
    const isExpected = this.isStopping && error instanceof HostError;
    if (this.process === process && !isExpected) this.hooks.fatal(this, error);
  }

  private identity({ clock }: SimProcess): NodeIdentity {
    this.disk.identity ??= { identity: drawUuid(clock), joined: this.settings.joins };
    return this.disk.identity;
  }

  private config(): KvNodeConfig {
    const { id, address, members, joins, flags } = this.settings;
    const argv = [
      `--raft.node-id=${id}`,
      `--raft.address=${address}`,
      `--raft.initial-members=${members}`,
      `--raft.join=${joins}`,
      `--storage.version-cache-size=${VERSION_CACHE_BYTES}`,
      `--storage.range-cache-size=${RANGE_CACHE_BYTES}`,
      ...flags,
    ];
    const inputs = { argv, environment: {}, cwd: '/', directories: [] };
    const outcome = loadConfig(kvNodeSchema('0.0.0'), inputs);
    if (outcome.kind === 'loaded') return outcome.loaded.config;
    const text =
      outcome.kind === 'text' ? outcome.text : outcome.problems.map(formatProblem).join('\n');
    throw new Error(`node ${id} cannot be configured: ${text}`);
  }

  private logger(component: string): Logger {
    const at = (level: string) => (fields: LogFields, message: string) =>
      this.hooks.log(this, level, component === '' ? message : `${component}: ${message}`, fields);
    return {
      debugEnabled: false,
      debug: () => undefined,
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child: (name) => this.logger(name),
    };
  }
}
