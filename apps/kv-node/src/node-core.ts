/**
 * A kv-node without its doors to clients: what it is made of between storage and API.
 *
 *   storage, identity --> Raft host, peers, snapshots --> catalog, tables, routing --> upkeep
 *
 * In: opened storage, a clock, a transport between nodes. Out: a node that can be started, asked and
 * stopped. It opens no file and no socket by itself, so a simulation runs it as it is.
 */
import { WriteBehindEngine } from '@flotilla/mvcc';
import { type Logger } from '@flotilla/platform';
import { type HostObserver } from '@flotilla/raft';
import { NodeDirectory } from './catalog/node-directory.js';
import { NodeCluster } from './cluster/node-cluster.js';
import { type KvNodeConfig } from './config/kv-node-config.js';
import { DiskWatch } from './node/disk-watch.js';
import { type LeaderCluster } from './follower/leader-writes.js';
import { HistoryKeeper } from './node/history-keeper.js';
import { LogKeeper } from './node/log-keeper.js';
import { type NodeClock } from './node/node-clock.js';
import { type NodeIdentity } from './node/node-identity.js';
import { NodeRuntime } from './node/node-runtime.js';
import { type NodeStorage } from './node/node-storage.js';
import { PeerSide } from './peers/peer-side.js';
import { type PeerTransport } from './peers/peer-transport.js';
import { SnapshotHub } from './snapshots/snapshot-hub.js';

/** A write of the log that takes so many election timeouts counts as stalled. */
const STALL_ELECTIONS = 2;

export interface NodeCoreParts {
  readonly config: KvNodeConfig;
  readonly own: NodeIdentity;
  readonly storage: NodeStorage;
  readonly clock: NodeClock;
  readonly transport: PeerTransport;
  readonly logger: Logger;
  /** The node cannot keep its promises any more and has to end. */
  readonly onFatal: (error: unknown) => void;
  /** The cluster says that this node is none of its own; the process is to end. */
  readonly onStranger: (reason: string) => void;
  /** Rows come in bulk: called with each batch of them. */
  readonly onBulk?: () => void;
  /** The way to the leader cluster, in a follower cluster. */
  readonly leader?: LeaderCluster | undefined;
  readonly observer?: HostObserver;
}

export class NodeCore {
  readonly peers: PeerSide;
  readonly runtime: NodeRuntime;
  readonly cluster: NodeCluster;
  readonly keeper: LogKeeper;
  readonly history: HistoryKeeper;
  readonly disk: DiskWatch;
  private readonly directory: NodeDirectory;
  private readonly hub: SnapshotHub;

  constructor(given: NodeCoreParts) {
    const { config, clock, logger, onFatal } = given;
    const storage = { ...given.storage, engine: answersFirst(given) };
    const parts = { ...given, storage };
    const { raft } = config;
    const directory = new NodeDirectory(raft.nodeId, raft.members());
    this.directory = directory;
    this.peers = this.makePeers(parts, directory);
    const { network } = this.peers;
    this.hub = new SnapshotHub(storage.engine, network, logger.child('snapshots'), clock);
    this.runtime = new NodeRuntime(config, storage, {
      clock,
      peers: network,
      snapshots: this.hub,
      onFatal,
      observer: parts.observer,
      onBulk: parts.onBulk,
      onTick: (nowMs) => network.tick(nowMs),
    });
    this.peers.attach(this.runtime.host, this.hub);
    const { peers, runtime } = this;
    const clusterLogger = logger.child('cluster');
    try {
      this.cluster = new NodeCluster({
        ...parts,
        runtime,
        peers,
        directory,
        logger: clusterLogger,
      });
    } catch (error) {
      // Groups that run already must not find their storage closed.
      runtime.stop();
      throw error;
    }
    const { catalog, tables } = this.cluster;
    this.keeper = new LogKeeper(
      config,
      storage,
      runtime,
      () => [catalog.group, ...Array.from(tables.all(), ({ group }) => group)],
      (node) => network.isAlive(node),
      logger.child('log-keeper'),
      onFatal,
    );
    const machines = () => [catalog.machine, ...Array.from(tables.all(), ({ machine }) => machine)];
    this.history = new HistoryKeeper(machines, onFatal, clock);
    this.disk = this.makeDiskWatch(parts);
  }

  /** Whether the cluster has no other node. */
  get isAlone(): boolean {
    for (const _other of this.directory.others()) return false;
    return true;
  }

  /** Other nodes are heard and spoken to from now on. Returns the address they connect to. */
  async connect(): Promise<string> {
    const address = await this.peers.start();
    this.runtime.start();
    return address;
  }

  /** Whoever waits is told that the node stops; what is fetched is let go. */
  async stop(): Promise<void> {
    this.runtime.stop();
    await this.hub.close();
  }

  private makeDiskWatch({ config: { raft }, storage, clock, logger }: NodeCoreParts): DiskWatch {
    const { leadership } = this.cluster;
    const stallMs = STALL_ELECTIONS * raft.electionRtt * raft.rttMs;
    return new DiskWatch(
      () => storage.log.stats(),
      (isStalled) => leadership.stepAside(isStalled),
      { directory: raft.walDir, stallMs, clock },
      logger.child('disk'),
    );
  }

  private makePeers(parts: NodeCoreParts, directory: NodeDirectory): PeerSide {
    const { config, own, clock, transport, logger, onStranger } = parts;
    const clusterId = () => this.cluster?.catalog.state.clusterId ?? '';
    return new PeerSide({
      own: {
        clusterName: config.memberlist.clusterName,
        nodeId: config.raft.nodeId,
        identity: own.identity,
        joined: own.joined,
        get clusterId() {
          return clusterId();
        },
      },
      directory,
      config: config.raft,
      logger: logger.child('peers'),
      clock,
      transport,
      onStranger,
    });
  }
}

/** What is stored of a write is written after its answer has left: the log has made it durable. */
function answersFirst({ storage, clock, onFatal }: NodeCoreParts): WriteBehindEngine {
  const defer = (task: () => void) => clock.defer(task);
  return new WriteBehindEngine(storage.engine, { defer, onFailed: onFatal });
}
