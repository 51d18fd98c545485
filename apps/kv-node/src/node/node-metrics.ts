/**
 * What a node says of its tables, its log and its engine when it is scraped.
 *
 * Names and labels of Regatta where it has the figure; our own begin with flotilla_. Everything is
 * read at the moment of the scrape: nothing is counted on the way of a request.
 */
import { type RangeCacheStats, type VersionCacheStats } from '@flotilla/mvcc';
import { Counter, Gauge, type Registry } from 'prom-client';
import { FEED_KINDS } from '../feed/feed-traffic.js';
import { exposeFollower } from '../follower/follower-metrics.js';
import { type NodeCluster } from '../cluster/node-cluster.js';
import { type PeerSide } from '../peers/peer-side.js';
import { type NodeRuntime } from './node-runtime.js';
import { type NodeStorage } from './node-storage.js';

const TABLE_LABELS = ['table', 'shard_id'] as const;
const GROUP_LABELS = ['shardid', 'replicaid'] as const;

export interface MetricSources {
  readonly runtime: NodeRuntime;
  readonly storage: NodeStorage;
  readonly cluster: NodeCluster;
  readonly peers: PeerSide;
}

export function exposeNodeMetrics(registry: Registry, sources: MetricSources): void {
  exposeTables(registry, sources);
  exposeGroups(registry, sources);
  exposeLog(registry, sources);
  exposeEngine(registry, sources);
  exposeCaches(registry, sources);
  exposeCluster(registry, sources);
  exposeRole(registry, sources);
  exposeFeed(registry, sources);
}

function exposeRole(registry: Registry, { cluster }: MetricSources): void {
  const { follower, tables, replication } = cluster;
  new Gauge({
    name: 'flotilla_role',
    help: '1 for the role of this cluster: leader, or follower of another one.',
    labelNames: ['role'] as const,
    registers: [registry],
    collect() {
      this.reset();
      this.set({ role: replication.role }, 1);
    },
  });
  new Gauge({
    name: 'flotilla_generation',
    help: 'Generation of this leader cluster; of a follower cluster the highest it has followed.',
    registers: [registry],
    collect() {
      this.set(replication.generation);
    },
  });
  if (follower) exposeFollower(registry, follower, tables);
}

/** What gateways are told. Absent where nothing is offered to them. */
function exposeFeed(registry: Registry, { cluster: { feed } }: MetricSources): void {
  new Gauge({
    name: 'flotilla_feed_streams',
    help: 'Streams that gateways have open: the list of tables, logs, whole tables.',
    labelNames: ['kind'] as const,
    registers: [registry],
    collect() {
      for (const kind of FEED_KINDS) this.set({ kind }, feed.traffic.of(kind).streams);
    },
  });
  const total = (name: string, help: string, figure: 'messages' | 'bytes') =>
    new Counter({
      name,
      help,
      labelNames: ['kind'] as const,
      registers: [registry],
      collect() {
        this.reset();
        for (const kind of FEED_KINDS) this.inc({ kind }, feed.traffic.of(kind)[figure]);
      },
    });
  total('flotilla_feed_messages_total', 'Messages sent to gateways.', 'messages');
  total('flotilla_feed_bytes_total', 'Bytes of those messages.', 'bytes');
}

function exposeTables(registry: Registry, { cluster }: MetricSources): void {
  const { tables } = cluster;
  const applied = new Gauge({
    name: 'regatta_applied_index',
    help: 'Index of the last log entry that is part of the table.',
    labelNames: TABLE_LABELS,
    registers: [registry],
    collect() {
      this.reset();
      for (const { id, name, group } of tables.named()) {
        this.set({ table: name, shard_id: String(id) }, group.appliedIndex);
      }
    },
  });
  const keys = new Gauge({
    name: 'flotilla_table_keys',
    help: 'Keys in the table.',
    labelNames: TABLE_LABELS,
    registers: [registry],
    collect() {
      this.reset();
      for (const { id, name, machine } of tables.named()) {
        this.set({ table: name, shard_id: String(id) }, machine.stats().keys);
      }
    },
  });
  // A gauge without a table would say 0 for a table that does not exist.
  applied.reset();
  keys.reset();
}

function exposeGroups(registry: Registry, { cluster, runtime }: MetricSources): void {
  const { tables } = cluster;
  const replicaid = String(runtime.host.nodeId);
  new Gauge({
    name: 'dragonboat_raftnode_has_leader',
    help: '1 while the group of a table knows its leader.',
    labelNames: GROUP_LABELS,
    registers: [registry],
    collect() {
      this.reset();
      for (const { id, group } of tables.all()) {
        this.set({ shardid: String(id), replicaid }, group.status().leader === 0 ? 0 : 1);
      }
    },
  });
  new Gauge({
    name: 'dragonboat_raftnode_term',
    help: 'Raft term of the group of a table.',
    labelNames: GROUP_LABELS,
    registers: [registry],
    collect() {
      this.reset();
      for (const { id, group } of tables.all()) {
        this.set({ shardid: String(id), replicaid }, group.status().term);
      }
    },
  });
}

function exposeLog(registry: Registry, { storage }: MetricSources): void {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  const stats = () => storage.log.stats();
  gauge('flotilla_log_disk_bytes', 'Size of the raft log on disk.', () => stats().bytes);
  gauge('flotilla_log_entries', 'Entries in the raft log, over all groups.', () => stats().entries);
  gauge('flotilla_log_syncs', 'Completed synced writes of the raft log.', () => stats().syncs);
  gauge('flotilla_log_pending_bytes', 'Accepted and not yet on disk.', () => stats().pendingBytes);
}

function exposeEngine(registry: Registry, { storage }: MetricSources): void {
  new Gauge({
    name: 'flotilla_engine_bytes',
    help: 'What the storage engine says of itself, in bytes.',
    labelNames: ['kind'] as const,
    registers: [registry],
    collect() {
      const { dataBytes, memtableBytes, blockCacheBytes, compactionPendingBytes } =
        storage.engine.properties();
      const kinds = { dataBytes, memtableBytes, blockCacheBytes, compactionPendingBytes };
      for (const [kind, bytes] of Object.entries(kinds)) {
        if (bytes !== undefined) this.set({ kind: kind.replace(/Bytes$/, '') }, bytes);
      }
    },
  });
}

function exposeCaches(registry: Registry, { cluster }: MetricSources): void {
  exposeCache(registry, 'flotilla_version_cache', 'Keys', () => cluster.versions?.stats());
  exposeCache(registry, 'flotilla_range_cache', 'Stretches of keys', () => cluster.ranges?.stats());
}

function exposeCache(
  registry: Registry,
  prefix: string,
  what: string,
  stats: () => VersionCacheStats | RangeCacheStats | undefined,
): void {
  const counter = (name: string, help: string, read: () => number | undefined) =>
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(read() ?? 0);
      },
    });
  const gauge = (name: string, help: string, read: () => number | undefined) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read() ?? 0);
      },
    });
  counter(`${prefix}_hits_total`, `${what} found in memory.`, () => stats()?.hits);
  counter(`${prefix}_misses_total`, `${what} looked for in the engine.`, () => stats()?.misses);
  counter(`${prefix}_evictions_total`, `${what} that made room.`, () => stats()?.evictions);
  gauge(`${prefix}_entries`, `${what} kept in memory.`, () => stats()?.entries);
  gauge(`${prefix}_bytes`, 'Memory in use for them.', () => stats()?.bytes);
}

/** Counted by the parts themselves; a scrape only reads. */
function exposeCluster(registry: Registry, { runtime, peers, cluster }: MetricSources): void {
  const figure = (name: string, help: string, read: () => Record<string, number>) =>
    new Gauge({
      name,
      help,
      labelNames: ['kind'] as const,
      registers: [registry],
      collect() {
        for (const [kind, value] of Object.entries(read())) this.set({ kind }, value);
      },
    });
  const total = (name: string, help: string, read: () => Record<string, number>) =>
    new Counter({
      name,
      help,
      labelNames: ['kind'] as const,
      registers: [registry],
      collect() {
        this.reset();
        for (const [kind, value] of Object.entries(read())) this.inc({ kind }, value);
      },
    });
  const { network, server } = peers;
  total('flotilla_peer_frames_total', 'Frames between this node and others.', () => ({
    sent: network.counters.framesOut,
    received: server.framesIn,
  }));
  total('flotilla_peer_messages_total', 'Raft messages in those frames.', () => ({
    sent: network.counters.messagesOut,
    received: server.messagesIn,
    dropped: network.counters.dropped,
    forged: server.forged,
  }));
  total('flotilla_peer_bytes_total', 'Bytes of those frames.', () => ({
    sent: network.counters.bytesOut,
    received: server.bytesIn,
  }));
  figure('flotilla_peers', 'Other nodes of the cluster.', () => ({
    alive: network.living().length,
  }));
  figure('flotilla_raft_groups', 'Raft groups on this node.', () => {
    const { groups, awake } = runtime.host.stats();
    return { awake, asleep: groups - awake };
  });
  total('flotilla_snapshots_total', 'Snapshots that this node fetched, or failed to.', () => {
    const { installed, failed } = runtime.snapshots.fetcher.stats();
    return { installed, failed };
  });
  figure('flotilla_snapshots', 'Snapshots that this node is fetching, and giving away.', () => {
    const { running } = runtime.snapshots.fetcher.stats();
    return { fetching: running, serving: runtime.snapshots.source.openViews };
  });
  figure('flotilla_tables', 'Tables of the cluster, and those that have a replica here.', () => ({
    cluster: cluster.catalog.state.tables.size,
    here: cluster.tables.size,
    moving: cluster.catalog.state.moving.size,
  }));
  figure('flotilla_loop_stalls', 'Stalls of the loop that were longer than a few ticks.', () => ({
    count: runtime.stalls.count,
    longest_ms: runtime.stalls.longestMs,
  }));
}
