/**
 * One kv-node, put together: what it is made of, and in which order that starts and stops.
 *
 *   storage -> raft host -> catalog and tables -> upkeep -> controllers -> gRPC -> REST
 *
 * Nothing is served before everything below it runs; stopping goes the other way, so that calls
 * end before what they use is closed.
 */
import { HealthRegistry, Lifecycle, type LoadedConfig, type Logger } from '@flotilla/platform';
import { ApiServers } from './api-servers.js';
import { Catalog } from './catalog/catalog.service.js';
import { type KvNodeConfig } from './config/kv-node-config.js';
import { HistoryKeeper } from './node/history-keeper.js';
import { LogKeeper, type KeptGroup } from './node/log-keeper.js';
import { NodeRuntime } from './node/node-runtime.js';
import { closeNodeStorage, openNodeStorage, type NodeStorage } from './node/node-storage.js';
import { TableRegistry } from './tables/table-registry.js';

/** Where the node serves, for the log and for whoever started it. */
export interface ServedAddresses {
  readonly apiAddress: string;
  readonly restAddress: string;
  readonly dataDir: string;
}

/** How long all tables together may take to become usable at a start. */
const START_TIMEOUT_MS = 60_000;
/** Running calls may take this long when the node stops. */
const DRAIN_MS = 10_000;

export class KvNode {
  readonly lifecycle: Lifecycle;
  private readonly health: HealthRegistry;
  private readonly config: KvNodeConfig;
  private storage: NodeStorage | undefined;
  private runtime: NodeRuntime | undefined;
  private tables: TableRegistry | undefined;
  private catalog: Catalog | undefined;
  private keeper: LogKeeper | undefined;
  private history: HistoryKeeper | undefined;
  private api: ApiServers | undefined;
  private served: ServedAddresses | undefined;

  constructor(
    private readonly loaded: LoadedConfig<KvNodeConfig>,
    private readonly logger: Logger,
    private readonly onFatal: (error: unknown) => void,
  ) {
    this.config = loaded.config;
    this.health = new HealthRegistry(logger.child('health'));
    this.lifecycle = new Lifecycle({ logger: logger.child('lifecycle') })
      .add({
        name: 'storage',
        start: () => this.openStorage(),
        stop: () => this.storage && closeNodeStorage(this.storage),
      })
      .add({
        name: 'raft',
        start: () => this.startRaft(),
        stop: () => this.runtime?.stop(),
      })
      .add({
        name: 'tables',
        start: () => this.startTables(),
        stop: () => this.catalog?.stop(),
      })
      .add({
        name: 'log-keeper',
        start: () => this.startKeeper(),
        stop: () => this.keeper?.stop(),
      })
      .add({
        name: 'history-keeper',
        start: () => this.startHistoryKeeper(),
        stop: () => this.history?.stop(),
      })
      .add({
        name: 'api',
        start: () => this.serve(),
        stop: (deadlineMs) => this.stopServing(deadlineMs),
      });
  }

  /** Set once the node serves. */
  get addresses(): ServedAddresses | undefined {
    return this.served;
  }

  /** Takes readiness away, so that no new work is sent here. */
  startDraining(reason: string): void {
    this.health.drain(reason);
  }

  private async openStorage(): Promise<void> {
    this.storage = await openNodeStorage(this.config);
    const { recovery, bytes, groups } = this.storage.log.stats();
    const fields = { bytes, groups, ...recovery };
    if (recovery.cutBytes > 0) this.logger.warn(fields, 'cut an unfinished write off the raft log');
    else this.logger.info(fields, 'opened the raft log');
  }

  private startRaft(): void {
    this.runtime = new NodeRuntime(this.config, required(this.storage), this.onFatal);
    this.runtime.start();
  }

  private async startTables(): Promise<void> {
    const { engine } = required(this.storage);
    const runtime = required(this.runtime);
    const peers = [...this.config.raft.members().keys()];
    this.tables = new TableRegistry(runtime, engine, peers);
    this.catalog = new Catalog(runtime, engine, this.tables, peers, (error) =>
      this.logger.error({ err: error }, 'a deleted table could not be cleaned away'),
    );
    await this.catalog.start(START_TIMEOUT_MS);
    for (const name of this.config.tables.names) await this.catalog.create(name);
    for (const name of this.config.tables.delete) await this.catalog.delete(name);
    this.logger.info({ tables: this.catalog.list().length }, 'tables are usable');
  }

  private startKeeper(): void {
    this.keeper = new LogKeeper(
      this.config,
      required(this.storage),
      required(this.runtime),
      () => this.keptGroups(),
      this.logger.child('log-keeper'),
      this.onFatal,
    );
    this.keeper.start();
  }

  private startHistoryKeeper(): void {
    const machines = () => [
      required(this.catalog).table.machine,
      ...[...required(this.tables).all()].map(({ machine }) => machine),
    ];
    this.history = new HistoryKeeper(machines, this.onFatal);
    this.history.start();
  }

  private *keptGroups(): Iterable<KeptGroup> {
    const tables = [required(this.catalog).table, ...required(this.tables).all()];
    for (const { group } of tables) {
      yield {
        id: group.id,
        appliedIndex: group.appliedIndex,
        firstIndex: group.log.firstIndex(),
      };
    }
  }

  private async serve(): Promise<void> {
    const parts = {
      loaded: this.loaded,
      logger: this.logger,
      health: this.health,
      storage: required(this.storage),
      runtime: required(this.runtime),
      tables: required(this.tables),
      catalog: required(this.catalog),
    };
    this.registerChecks(parts.catalog);
    this.api = new ApiServers(parts);
    this.served = { ...(await this.api.start()), dataDir: this.config.dataDir };
    // Known before anybody is told that the node serves, not at the next look of the watch.
    await this.health.run('readiness');
    this.health.watch();
  }

  /** Ready means: the catalog has a leader here, and so does every table. */
  private registerChecks(catalog: Catalog): void {
    this.health.register({
      name: 'raft',
      kind: 'readiness',
      check: () => {
        for (const { group } of [catalog.table, ...required(this.tables).all()]) {
          if (group.status().leader === 0) throw new Error(`group ${group.id} has no leader`);
        }
      },
    });
  }

  private async stopServing(deadlineMs: number): Promise<void> {
    await this.api?.stop(Math.min(deadlineMs / 2, DRAIN_MS));
    this.health.close();
  }
}

/** A part that an earlier step of the start has made. */
function required<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('a part of the node is used before it was started');
  return part;
}
