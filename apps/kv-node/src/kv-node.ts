/**
 * One kv-node, put together: what it is made of, and in which order that starts and stops.
 *
 *   storage -> raft host, catalog, tables -> peers -> upkeep -> gRPC and REST -> member of the cluster
 *
 * Clients are served as soon as they can be told something, and the node is ready once it has heard
 * of the catalog. Stopping goes the other way: leadership goes first, calls end before what they use
 * is closed.
 */
import { HealthRegistry, Lifecycle, type LoadedConfig, type Logger } from '@flotilla/platform';
import { ApiServers } from './api-servers.js';
import { type KvNodeConfig } from './config/kv-node-config.js';
import { SYSTEM_CLOCK } from './node/node-clock.js';
import { nodeIdentity } from './node/node-identity.js';
import { QuietSync } from './node/quiet-sync.js';
import { closeNodeStorage, openNodeStorage, type NodeStorage } from './node/node-storage.js';
import { connectLeaderCluster } from './follower/leader-client.js';
import { type LeaderCluster } from './follower/leader-writes.js';
import { NodeCore } from './node-core.js';
import { grpcTransport } from './peers/peer-transport.js';

/** Where the node serves, for the log and for whoever started it. */
export interface ServedAddresses {
  readonly apiAddress: string;
  readonly restAddress: string;
  readonly peerAddress: string;
  readonly dataDir: string;
}

/** How long the catalog may have no majority at a start before the process gives up. */
const JOIN_TIMEOUT_MS = 10 * 60_000;
/** How long the groups that run here may take to find leaders before the node says it is ready. */
const TABLES_LED_TIMEOUT_MS = 10_000;
const WAITING_LOG_MS = 10_000;
/** Running calls may take this long when the node stops. */
const DRAIN_MS = 10_000;
/** Leadership may take this long to go elsewhere when the node stops. */
const HAND_OVER_MS = 5_000;
const PEERS_GRACE_MS = 500;

/** What a node has to say to its process. */
export interface KvNodePorts {
  readonly onFatal: (error: unknown) => void;
  /** The cluster says that this node is none of its own; the process is to end. */
  readonly onStranger: (reason: string) => void;
  /** Rows come in bulk: called with each batch of them. */
  readonly onBulk: () => void;
}

export class KvNode {
  readonly lifecycle: Lifecycle;
  private readonly health: HealthRegistry;
  private readonly config: KvNodeConfig;
  private readonly quietSync = new QuietSync();
  private storage: NodeStorage | undefined;
  private core: NodeCore | undefined;
  private leader: LeaderCluster | undefined;
  private api: ApiServers | undefined;
  private peerAddress = '';
  private served: ServedAddresses | undefined;

  constructor(
    private readonly loaded: LoadedConfig<KvNodeConfig>,
    private readonly logger: Logger,
    private readonly ports: KvNodePorts,
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
        start: () => this.startCore(),
        stop: () => this.stopCore(),
      })
      .add({
        name: 'peers',
        start: async () => {
          this.peerAddress = await required(this.core).connect();
        },
        stop: () => this.core?.peers.close(PEERS_GRACE_MS),
      })
      .add({
        name: 'disk-watch',
        start: () => required(this.core).disk.start(),
        stop: () => this.core?.disk.stop(),
      })
      .add({
        name: 'log-keeper',
        start: () => required(this.core).keeper.start(),
        stop: () => this.core?.keeper.stop(),
      })
      .add({
        name: 'history-keeper',
        start: () => required(this.core).history.start(),
        stop: () => this.core?.history.stop(),
      })
      .add({
        name: 'api',
        start: () => this.serve(),
        stop: (deadlineMs) => this.stopServing(deadlineMs),
      })
      .add({
        name: 'cluster',
        start: () => this.join(),
        stop: (deadlineMs) => this.leave(deadlineMs),
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
    this.storage = await openNodeStorage(this.config, { syncPlace: this.quietSync });
    const { recovery, bytes, groups } = this.storage.log.stats();
    const fields = { bytes, groups, ...recovery };
    if (recovery.cutBytes > 0) this.logger.warn(fields, 'cut an unfinished write off the raft log');
    else this.logger.info(fields, 'opened the raft log');
  }

  private startCore(): void {
    const { config, logger } = this;
    const { onFatal, onStranger, onBulk } = this.ports;
    const { raft, memberlist } = config;
    this.leader = config.isFollower ? connectLeaderCluster(config.replication) : undefined;
    const own = nodeIdentity(raft.nodeHostDir, raft.nodeId, memberlist.clusterName, raft.join);
    this.core = new NodeCore({
      config,
      own,
      storage: required(this.storage),
      clock: SYSTEM_CLOCK,
      transport: grpcTransport(config.api.transport),
      logger,
      onFatal,
      onBulk,
      onStranger,
      leader: this.leader,
    });
    const { core } = this;
    this.quietSync.attach({
      isAlone: () => core.isAlone,
      calls: () => core.runtime.calls,
      nowMs: () => SYSTEM_CLOCK.nowMs(),
    });
  }

  private async stopCore(): Promise<void> {
    this.leader?.close();
    await this.core?.stop();
  }

  private async serve(): Promise<void> {
    this.registerChecks();
    const { loaded, logger, health } = this;
    const storage = required(this.storage);
    const { runtime, cluster, peers } = required(this.core);
    this.api = new ApiServers({ loaded, logger, health, storage, runtime, cluster, peers });
    const addresses = await this.api.start();
    const { dataDir } = this.config;
    this.served = { ...addresses, peerAddress: this.peerAddress, dataDir };
    this.health.watch();
  }

  private async join(): Promise<void> {
    const { cluster } = required(this.core);
    const waiting = setInterval(
      () => this.logger.warn({}, 'waiting for a majority of the nodes that hold the catalog'),
      WAITING_LOG_MS,
    );
    try {
      await cluster.join(JOIN_TIMEOUT_MS);
    } finally {
      clearInterval(waiting);
    }
    await cluster.tablesLed(TABLES_LED_TIMEOUT_MS);
    for (const name of this.config.tables.names) await cluster.admin.create(name);
    for (const name of this.config.tables.delete) await cluster.admin.delete(name);
    const { state } = cluster.catalog;
    const fields = { tables: state.tables.size, here: cluster.tables.size };
    this.logger.info(
      { role: this.loaded.command, ...fields },
      'the node is a member of its cluster',
    );
    // Known before anybody is told that the node serves, not at the next look of the watch.
    await this.health.run('readiness');
  }

  /** Others lead, then nothing more is begun here. */
  private async leave(deadlineMs: number): Promise<void> {
    const { leadership } = required(this.core).cluster;
    const { left } = await leadership.handOverAll(Math.min(deadlineMs / 2, HAND_OVER_MS));
    if (left > 0) this.logger.warn({ groups: left }, 'stops while it leads groups');
    await this.core?.cluster.stop();
  }

  /** Ready means: the catalog and every table that runs here have leaders, and the disk writes. */
  private registerChecks(): void {
    this.health.register({
      name: 'raft',
      kind: 'readiness',
      check: () => {
        const { catalog, tables } = required(this.core).cluster;
        const groups = [catalog.group, ...Array.from(tables.all(), ({ group }) => group)];
        for (const group of groups) {
          if (group.status().leader === 0) throw new Error(`group ${group.id} has no leader`);
        }
      },
    });
    this.health.register({ name: 'disk', kind: 'readiness', check: () => this.checkDisk() });
  }

  private checkDisk(): void {
    const stalledMs = this.core?.disk.stalledMs;
    if (stalledMs === undefined) return;
    throw new Error(`a write of the raft log takes ${stalledMs} ms already`);
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
