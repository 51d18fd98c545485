/**
 * The part of a node that makes it one of a cluster: catalog, tables, routing and upkeep, put together
 * in the order in which they need each other.
 *
 *   catalog --changes--> tables that run here, links to nodes, load
 *   client or peer --> router --> replica here, or a node that has one
 */
import { type GrpcServer } from '@flotilla/grpc';
import { RangeCache, VersionCache } from '@flotilla/mvcc';
import { type Logger } from '@flotilla/platform';
import { FIRST_TABLE_ID } from '../catalog/catalog-rows.js';
import { Catalog } from '../catalog/catalog.service.js';
import { type CatalogChange, type TableChange, type TableInfo } from '../catalog/catalog-state.js';
import { type NodeDirectory } from '../catalog/node-directory.js';
import { type KvNodeConfig } from '../config/kv-node-config.js';
import { FeedService } from '../feed/feed.service.js';
import { FollowerNode } from '../follower/follower-node.js';
import { type LeaderCluster } from '../follower/leader-writes.js';
import { KvService } from '../kv/kv.service.js';
import { OPERATION_TIMEOUT_MS } from '../kv/limits.js';
import { PurposeApi } from '../leases/purpose-api.js';
import { PurposeLeases } from '../leases/purpose-leases.js';
import { type NodeIdentity } from '../node/node-identity.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { type NodeStorage } from '../node/node-storage.js';
import { type PeerSide } from '../peers/peer-side.js';
import { Forwarder } from '../routing/forwarder.js';
import { PassedCalls } from '../routing/passed-calls.js';
import { TableRouter } from '../routing/table-router.js';
import { FillGate } from '../shadow/fill-gate.js';
import { ShadowApi } from '../shadow/shadow-api.js';
import { ShadowRows } from '../shadow/shadow-rows.js';
import { ShadowTables } from '../shadow/shadow-tables.js';
import { TableSteps } from '../shadow/table-steps.js';
import { CopyLook } from '../promotion/copy-look.js';
import { Promotion } from '../promotion/promotion.js';
import { TableAdmin } from '../tables/table-admin.js';
import { TableRegistry } from '../tables/table-registry.js';
import { ClusterChanges } from './cluster-changes.js';
import { ClusterLoop } from './cluster-loop.js';
import { ClusterOperator } from './cluster-operator.js';
import { ClusterView } from './cluster-view.js';
import { Leadership } from './leadership.js';
import { otherNodes } from './other-nodes.js';
import { ReplicationStatus } from './replication-status.js';
import { register, type Registration } from './self-registration.js';
import { TableMover } from './table-mover.js';

const QUIET_CHANGES: readonly CatalogChange['kind'][] = ['session', 'lease', 'purpose'];

export interface NodeClusterParts {
  readonly config: KvNodeConfig;
  readonly own: NodeIdentity;
  readonly storage: NodeStorage;
  readonly runtime: NodeRuntime;
  readonly peers: PeerSide;
  readonly directory: NodeDirectory;
  readonly logger: Logger;
  readonly onFatal: (error: unknown) => void;
  readonly onStranger: (reason: string) => void;
  /** The way to the leader cluster, in a follower cluster. */
  readonly leader?: LeaderCluster | undefined;
}

export class NodeCluster {
  readonly catalog: Catalog;
  /** What the tables that run here keep in memory: pairs and ranges; undefined if not wanted. */
  readonly versions: VersionCache | undefined;
  readonly ranges: RangeCache | undefined;
  readonly tables: TableRegistry;
  readonly view: ClusterView;
  readonly kv: KvService;
  readonly feed: FeedService;
  readonly admin: TableAdmin;
  readonly operator: ClusterOperator;
  readonly changes: ClusterChanges;
  readonly leadership: Leadership;
  /** What is done with tables by their ids, such as adopting a copy. */
  readonly steps: TableSteps;
  readonly shadows: ShadowTables;
  readonly shadowApi: ShadowApi;
  readonly purposeApi: PurposeApi;
  /** Undefined in a leader cluster. */
  readonly follower: FollowerNode | undefined;
  readonly replication: ReplicationStatus;
  readonly promotion: Promotion;
  private readonly loop: ClusterLoop;
  private hasJoined = false;

  constructor(private readonly parts: NodeClusterParts) {
    const { config, storage, runtime, peers, directory, logger } = parts;
    const { network } = peers;
    const self = config.raft.nodeId;
    const replicasMax = config.tables.replicas;
    this.versions = versionCache(parts);
    this.ranges = rangeCache(parts);
    this.tables = new TableRegistry(
      runtime,
      storage.engine,
      (error) => logger.error({ err: error }, 'a table could not be removed from this node'),
      { cache: this.versions, rangeCache: this.ranges },
    );
    this.catalog = new Catalog(runtime, storage.engine, this.founders());
    this.view = new ClusterView(this.catalog.state, network);
    const forwarder = new Forwarder(runtime, network);
    const router = new TableRouter(runtime, this.catalog, this.tables, network, forwarder);
    this.kv = new KvService(runtime, router);
    this.feed = new FeedService(runtime, this.catalog, this.tables, router);
    const passed = new PassedCalls(
      runtime,
      this.catalog,
      this.tables,
      this.kv,
      this.feed,
      forwarder,
      (error, method) => logger.error({ err: error, method }, 'a passed call failed'),
    );
    this.catalog.useLeaderElsewhere((command, deadlineMs) =>
      passed.proposeAtLeader(command, deadlineMs),
    );
    const { catalog, tables, view } = this;
    const others = otherNodes(network, passed);
    this.admin = new TableAdmin(runtime, catalog, tables, view, others, replicasMax);
    passed.useAdmin(this.admin);
    this.follower = this.makeFollower(router, forwarder);
    if (this.follower) passed.useMore(this.follower);
    this.steps = new TableSteps(router, new FillGate({ engine: storage.engine, runtime }));
    this.shadows = this.makeShadows(replicasMax);
    this.shadowApi = new ShadowApi(runtime, this.shadows, this.steps);
    passed.useMore(this.shadowApi);
    this.purposeApi = new PurposeApi(new PurposeLeases(catalog, runtime.clock), (timeoutMs) =>
      runtime.deadline(timeoutMs),
    );
    const { follower } = this;
    this.replication = new ReplicationStatus({ runtime, catalog, tables, follower });
    const look = new CopyLook(runtime, router);
    passed.useMore(look);
    const { steps } = this;
    this.promotion = new Promotion({ runtime, catalog, look, steps, follower, others, logger });
    this.operator = new ClusterOperator(catalog, view, self, replicasMax, logger, runtime.clock);
    this.changes = new ClusterChanges(catalog, tables, runtime.clock);
    this.leadership = new Leadership(
      catalog.state,
      tables,
      catalog.group,
      network,
      self,
      runtime.clock,
    );
    this.loop = this.makeLoop(self);
    directory.useCatalog(catalog.state.nodes);
    peers.serve({
      call: (call) => passed.call(call),
      callStream: (request, call, sink) => passed.callStream(request, call, sink),
      awaitCatalog: async (index) => {
        await catalog.group.applied(index, runtime.deadline(OPERATION_TIMEOUT_MS));
      },
    });
    for (const table of catalog.state.tablesById.values()) tables.follow(undefined, table);
    catalog.onChange((changes) => this.follow(changes));
  }

  /** Settles once the catalog is heard of and this node is one of its members. */
  async join(timeoutMs: number): Promise<void> {
    this.loop.start();
    const deadlineMs = this.parts.runtime.deadline(timeoutMs);
    await this.catalog.barrier(deadlineMs);
    this.hasJoined = true;
    this.checkRole();
    await this.loop.whenRegistered();
    this.sweep();
  }

  /** Settles once the groups that run here have leaders, or the time is over. */
  async tablesLed(timeoutMs: number): Promise<void> {
    const deadlineMs = this.parts.runtime.deadline(timeoutMs);
    const waits = [...this.tables.all()].map(({ group }) => group.leaderKnown(deadlineMs));
    await Promise.allSettled(waits);
  }

  /** Serves clients by the API of this cluster's role. */
  register(server: GrpcServer): void {
    (this.follower ?? this.kv).register(server);
    this.replication.register(server);
  }

  async stop(): Promise<void> {
    this.follower?.stop();
    await this.loop.stop();
    await this.tables.stop();
  }

  private follow(changes: readonly CatalogChange[]): void {
    this.view.follow(changes);
    for (const change of changes) {
      if (change.kind === 'table') this.tableChanged(change);
      else if (change.kind === 'deleting' && change.isListed) this.tables.deleted(change.id);
      else if (change.kind === 'node') this.nodeChanged(change.id);
    }
    // Whoever holds something tells so all the time, and nothing here depends on it.
    const isWork = ({ kind }: CatalogChange) => !QUIET_CHANGES.includes(kind);
    if (changes.some(isWork)) this.loop.nudge();
  }

  private tableChanged({ before, now, goesOn }: TableChange): void {
    // Until it has joined it may hear of what was so before a promotion; then all of it is looked at.
    const reason = now && this.hasJoined ? this.whyNotLeader(now) : undefined;
    if (reason === undefined) this.tables.follow(goesOn ? undefined : before, now);
    else this.parts.onStranger(reason);
  }

  private nodeChanged(id: number): void {
    const { config, peers, onStranger } = this.parts;
    if (id !== config.raft.nodeId) peers.network.refresh();
    else if (this.catalog.state.nodes.get(id)?.state === 'removed') {
      onStranger(`node ${id} was removed from the cluster; its id is never used again`);
    } else this.loop.registerAgain();
  }

  /** What was deleted or moved away while this node was not there to see it goes now. */
  private sweep(): void {
    const { storage } = this.parts;
    const { state } = this.catalog;
    const lastId = state.sequence ? Number(state.sequence.toString()) : 0;
    for (const id of storage.log.groups()) {
      const wasTable = id >= FIRST_TABLE_ID && id <= lastId;
      if (wasTable && !state.tablesById.has(id)) this.tables.deleted(id);
    }
    this.tables.catalogIsCurrent(state.tablesById);
    this.tables.removeLeftovers();
  }

  private makeShadows(replicasMax: number): ShadowTables {
    const { catalog, view, steps, admin } = this;
    const { runtime } = this.parts;
    const rows = new ShadowRows(catalog, view, runtime.clock, replicasMax);
    const isFollower = this.follower !== undefined;
    return new ShadowTables({ runtime, catalog, rows, steps, admin, isFollower });
  }

  private makeFollower(router: TableRouter, forwarder: Forwarder): FollowerNode | undefined {
    const { leader, config, runtime, peers, logger } = this.parts;
    if (!leader) return undefined;
    const { catalog, tables, kv, admin } = this;
    const { maintenance } = config;
    const { token } = config.tables;
    const { network } = peers;
    return new FollowerNode({
      ...{ leader, runtime, catalog, tables, router, kv, admin, network, forwarder, logger, token },
      maintenance,
    });
  }

  /** A write taken here would make a copy differ from what it is a copy of. */
  private checkRole(): void {
    for (const table of this.catalog.state.tables.values()) {
      const reason = this.whyNotLeader(table);
      if (reason !== undefined) throw new Error(reason);
    }
  }

  private whyNotLeader({ name, source }: TableInfo): string | undefined {
    if (this.follower || !source || this.catalog.state.cluster.promoted) return undefined;
    const text = `table ${name} is a copy of a leader cluster's: this is a follower cluster`;
    return `${text}, start its nodes with the command follower`;
  }

  private makeLoop(self: number): ClusterLoop {
    const { config, runtime, peers, logger } = this.parts;
    const own: Registration = {
      nodeId: self,
      identity: this.parts.own.identity,
      name: config.memberlist.nodeName,
      raftAddress: config.raft.address,
      clientUrl: config.api.advertiseAddress,
      isFounder: this.founders().includes(self),
    };
    const isAlive = (node: number) => peers.network.isAlive(node);
    const mover = new TableMover(this.catalog, this.tables, self, isAlive, (error, table) =>
      logger.error({ err: error, table }, 'a table could not be moved'),
    );
    return new ClusterLoop(
      {
        register: async () => {
          await this.catalog.barrier(runtime.deadline(OPERATION_TIMEOUT_MS));
          return register(this.catalog, own, this.parts.onStranger);
        },
        operate: async () => {
          await this.operator.step();
          if (this.catalog.group.isLeader) await this.promotion.step();
          await this.finishDeletions();
          if (this.catalog.group.isLeader) await this.shadows.dropLeftovers();
        },
        move: () => mover.step(),
        spread: () => this.leadership.spread(),
      },
      this.parts.onFatal,
      runtime.clock,
    );
  }

  /** The notes of deleted tables, once their data is gone here; other nodes remember by their log. */
  private async finishDeletions(): Promise<void> {
    if (!this.catalog.group.isLeader) return;
    for (const id of this.catalog.state.deleting) {
      await this.tables.settled();
      await this.admin.finishDeletion(id);
    }
  }

  /** Who founds the catalog where nothing is stored yet; nobody if this node joined. */
  private founders(): readonly number[] {
    const { config, own } = this.parts;
    return own.joined ? [] : [...config.raft.members().keys()];
  }
}

/** The identity of a node is a random number that nobody outside knows: so is the order of keys. */
function versionCache({ config, own }: NodeClusterParts): VersionCache | undefined {
  const bytesMax = config.storage.versionCacheBytes;
  if (bytesMax === 0) return undefined;
  return new VersionCache({ bytesMax, seed: Number.parseInt(own.identity.slice(0, 8), 16) });
}

function rangeCache({ config }: NodeClusterParts): RangeCache | undefined {
  const bytesMax = config.storage.rangeCacheBytes;
  return bytesMax === 0 ? undefined : new RangeCache({ bytesMax });
}
