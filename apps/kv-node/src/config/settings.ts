/**
 * The settings of a kv-node, named and defaulted as users of Regatta know them, with our own beside.
 *
 * One list: configuration files, environment, flags, help and the status answer are made from it.
 * What a value may be is said in `kv-node-config.ts`. Where a default differs from Regatta's, the
 * reason stands beside it.
 */
import { GRPC_TRANSPORTS } from '@flotilla/grpc';
import { join } from 'node:path';
import { RANGE_CACHE_BYTES_DEFAULT, VERSION_CACHE_BYTES_DEFAULT } from '@flotilla/mvcc';
import {
  clientTlsSettings,
  defineSettings,
  derivedDefault,
  LOG_LEVELS,
  type Setting,
  tlsSettings,
} from '@flotilla/platform';
import { FOLLOWER_SETTINGS } from './follower-settings.js';

export const STORAGE_ENGINES = ['rocksdb', 'lmdb', 'memory'] as const;
export type StorageEngine = (typeof STORAGE_ENGINES)[number];

export const SNAPSHOT_RECOVERY_TYPES = ['', 'snapshot', 'checkpoint'] as const;
export type SnapshotRecoveryType = (typeof SNAPSHOT_RECOVERY_TYPES)[number];

export const LOGDB_KINDS = ['tan', 'pebble'] as const;
export type LogdbKind = (typeof LOGDB_KINDS)[number];

const NO_EFFECT = 'accepted for compatibility, has no effect';

const GENERAL: readonly Setting[] = [
  {
    key: 'data-dir',
    kind: 'path',
    default: './data',
    description: 'folder under which all data of the node is kept',
  },
  {
    key: 'dev-mode',
    kind: 'bool',
    default: false,
    description: 'log for reading by people instead of by machines',
  },
  {
    key: 'log-level',
    kind: 'enum',
    values: LOG_LEVELS,
    default: 'INFO',
    description: 'least severe level that is logged',
  },
];

const API: readonly Setting[] = [
  {
    key: 'api.address',
    kind: 'url',
    default: 'http://0.0.0.0:8443',
    description: 'where clients are served',
  },
  {
    key: 'api.advertise-address',
    kind: 'url',
    default: 'http://127.0.0.1:8443',
    description: 'address clients are told to use',
  },
  ...tlsSettings('api', 'client API'),
  {
    key: 'api.max-concurrent-connections',
    kind: 'int',
    default: 0,
    description: 'client connections open at a time, 0 for no limit',
  },
  {
    key: 'api.max-concurrent-streams',
    kind: 'int',
    default: 0,
    description: 'calls in flight on one connection, 0 for no limit of its own',
  },
  {
    key: 'api.transport',
    kind: 'enum',
    values: GRPC_TRANSPORTS,
    default: 'native',
    description: 'what speaks gRPC, with clients and between nodes',
  },
  {
    key: 'api.stream-workers',
    kind: 'int',
    default: 0,
    description: `workers handling calls: ${NO_EFFECT} (a node runs on one thread)`,
  },
];

const REST: readonly Setting[] = [
  {
    key: 'rest.address',
    kind: 'url',
    default: 'http://127.0.0.1:8079',
    description: 'where metrics and health are served',
  },
  {
    key: 'rest.read-timeout',
    kind: 'duration',
    default: '5s',
    description: 'time a request may take to arrive',
  },
];

const RAFT: readonly Setting[] = [
  {
    key: 'raft.address',
    kind: 'host-port',
    // Regatta requires it; a cluster of one node needs no address that others can reach.
    default: '127.0.0.1:5012',
    description: 'address other nodes reach this node at',
  },
  {
    key: 'raft.listen-address',
    kind: 'host-port',
    default: derivedDefault('raft.address', (values) => values.text('raft.address')),
    description: 'address to listen on for other nodes',
  },
  {
    key: 'raft.node-id',
    kind: 'uint64',
    default: derivedDefault('place of raft.address in raft.initial-members, else 1', (values) => {
      const members = Object.entries(values.map('raft.initial-members'));
      const own = values.text('raft.address');
      const found = members.find(([, address]) => address === own)?.[0] ?? '1';
      return /^\d+$/.test(found) ? Number(found) : 1;
    }),
    description: 'number of this node, never used twice in a cluster',
  },
  {
    key: 'raft.initial-members',
    kind: 'map',
    numbered: true,
    default: {},
    description: 'all first members: 1=a:5012,2=b:5012, or a:5012,b:5012 numbered from 1',
  },
  {
    key: 'raft.join',
    kind: 'bool',
    default: false,
    description: 'join a running cluster that this node was added to, through raft.initial-members',
  },
  {
    key: 'raft.node-host-dir',
    kind: 'path',
    default: derivedDefault('<data-dir>/raft', (values) => join(values.text('data-dir'), 'raft')),
    description: 'folder of the Raft log',
  },
  {
    key: 'raft.wal-dir',
    kind: 'path',
    default: derivedDefault('raft.node-host-dir', (values) => values.text('raft.node-host-dir')),
    description: 'folder of the Raft log where it lies on a disk of its own',
  },
  {
    key: 'raft.state-machine-dir',
    kind: 'path',
    default: derivedDefault('<data-dir>/state-machine', (values) =>
      join(values.text('data-dir'), 'state-machine'),
    ),
    description: 'folder of the tables',
  },
  {
    key: 'raft.rtt',
    kind: 'duration',
    default: '50ms',
    description: 'round trip between nodes, the unit of the two settings below',
  },
  {
    key: 'raft.heartbeat-rtt',
    kind: 'int',
    default: 1,
    description: 'round trips between heartbeats',
  },
  {
    key: 'raft.election-rtt',
    kind: 'int',
    default: 20,
    description: 'round trips without a heartbeat before an election',
  },
  {
    key: 'raft.snapshot-entries',
    kind: 'uint64',
    default: 10_000,
    description: 'log entries between snapshots, 0 for none',
  },
  {
    key: 'raft.compaction-overhead',
    kind: 'uint64',
    default: 5_000,
    field: 'raft.compactionOverheadEntries',
    description: 'log entries kept behind a snapshot',
  },
  {
    key: 'raft.max-in-mem-log-size',
    kind: 'uint64',
    default: 6_291_456,
    field: 'raft.inMemoryLogBytesMax',
    description: 'bytes of log a group may hold in memory, 0 for no limit',
  },
  {
    key: 'raft.max-recv-queue-size',
    kind: 'uint64',
    default: 0,
    field: 'raft.receiveQueueBytesMax',
    description: 'bytes waiting from one node, 0 for the built-in limit',
  },
  {
    key: 'raft.max-send-queue-size',
    kind: 'uint64',
    default: 0,
    field: 'raft.sendQueueBytesMax',
    description: 'bytes waiting for one node, 0 for the built-in limit',
  },
  {
    key: 'raft.log-bytes-max',
    kind: 'uint64',
    default: 1_073_741_824,
    description: 'bytes of log kept for members that are behind; beyond, they get a snapshot',
  },
  ...tlsSettings('raft', 'peer server'),
  {
    key: 'raft.snapshot-recovery-type',
    kind: 'enum',
    values: SNAPSHOT_RECOVERY_TYPES,
    default: '',
    description: `how tables are snapshotted: ${NO_EFFECT}`,
  },
  {
    key: 'raft.logdb',
    kind: 'enum',
    values: LOGDB_KINDS,
    default: 'tan',
    description: `store of the Raft log: ${NO_EFFECT}`,
  },
];

const MEMBERLIST: readonly Setting[] = [
  {
    key: 'memberlist.address',
    kind: 'host-port',
    default: '0.0.0.0:7432',
    description: 'address to listen on for gossip',
  },
  {
    key: 'memberlist.advertise-address',
    kind: 'host-port',
    default: '',
    description: 'address other nodes gossip with',
  },
  {
    key: 'memberlist.members',
    kind: 'list',
    default: [],
    description: 'nodes to join through',
  },
  {
    key: 'memberlist.cluster-name',
    kind: 'string',
    default: 'default',
    description: 'name of the cluster; nodes of another name are refused',
  },
  {
    key: 'memberlist.node-name',
    kind: 'string',
    default: '',
    description: 'name of this node, unique in its cluster',
  },
];

/**
 * Regatta's is 16 MiB, in which indexes and filters of a few million pairs push each other out. Blocks of the
 * lower levels are compressed: a point read that has to unpack one costs twice what it costs from here.
 */
const BLOCK_CACHE_BYTES_DEFAULT = 512 * 1024 * 1024;

const STORAGE: readonly Setting[] = [
  {
    key: 'storage.engine',
    kind: 'enum',
    values: STORAGE_ENGINES,
    default: 'rocksdb',
    description:
      'engine of the tables, fixed with the first start; memory keeps nothing over a restart',
  },
  {
    key: 'storage.block-cache-size',
    kind: 'uint64',
    default: BLOCK_CACHE_BYTES_DEFAULT,
    field: 'storage.blockCacheBytes',
    description: 'bytes of uncompressed blocks kept in memory; lmdb leaves it to the system',
  },
  {
    key: 'storage.version-cache-size',
    kind: 'uint64',
    default: VERSION_CACHE_BYTES_DEFAULT,
    field: 'storage.versionCacheBytes',
    description: 'bytes of pairs kept in memory that are asked for often, over all tables; 0: none',
  },
  {
    key: 'storage.range-cache-size',
    kind: 'uint64',
    default: RANGE_CACHE_BYTES_DEFAULT,
    field: 'storage.rangeCacheBytes',
    description:
      'bytes of ranges kept in memory that are asked for often, over all tables; 0: none',
  },
  {
    key: 'storage.table-cache-size',
    kind: 'int',
    default: 1024,
    field: 'storage.tableCacheFiles',
    description: 'files of the engine kept open',
  },
];

const SERVICES: readonly Setting[] = [
  {
    key: 'maintenance.enabled',
    kind: 'bool',
    default: true,
    description: 'serve backup and restore',
  },
  {
    key: 'maintenance.token',
    kind: 'string',
    default: '',
    secret: true,
    description: 'bearer token of the maintenance API, empty for no check',
  },
  {
    key: 'maintenance.address',
    kind: 'list',
    default: [],
    field: 'maintenance.addresses',
    description: 'maintenance app that backups and restores asked for here are passed on to',
  },
  ...clientTlsSettings('maintenance', 'the maintenance app'),
  {
    key: 'tables.enabled',
    kind: 'bool',
    default: true,
    description: 'serve creation, deletion and listing of tables',
  },
  {
    key: 'tables.token',
    kind: 'string',
    default: '',
    secret: true,
    description: 'bearer token of the tables API, empty for no check',
  },
  {
    key: 'tables.replicas',
    kind: 'int',
    default: 3,
    description: 'nodes that hold a table, where there are as many',
  },
  {
    key: 'tables.names',
    kind: 'list',
    default: [],
    appliesTo: ['leader', 'recover'],
    description: 'tables to create at start (deprecated, use the tables API)',
  },
  {
    key: 'tables.delete',
    kind: 'list',
    default: [],
    appliesTo: ['leader', 'recover'],
    description: 'tables to delete at start (deprecated, use the tables API)',
  },
];

/** The leader cluster serves with these, a follower cluster shows and trusts them. */
const OF_BOTH_ROLES = new Set(['cert', 'key', 'ca'].map((file) => `replication.${file}-filename`));

const REPLICATION: readonly Setting[] = [
  {
    key: 'replication.enabled',
    kind: 'bool' as const,
    default: true,
    description: 'let follower clusters pull from this cluster',
  },
  {
    key: 'replication.address',
    kind: 'url' as const,
    default: 'http://0.0.0.0:8444',
    description: 'where follower clusters are served',
  },
  ...tlsSettings('replication', 'replication server'),
  {
    key: 'replication.max-send-message-size-bytes',
    kind: 'uint64' as const,
    default: 4_194_304,
    field: 'replication.sendMessageBytesMax',
    description: 'size of one message to a follower cluster',
  },
  {
    key: 'replication.log-retention-bytes',
    kind: 'uint64' as const,
    // Regatta keeps a number of entries, which is a few seconds of writes.
    default: 268_435_456,
    description: 'bytes of commands of a table kept in the log for follower clusters, 0 for none',
  },
  {
    key: 'replication.log-retention-time',
    kind: 'duration' as const,
    default: '6h',
    description: 'how long commands are kept in the log for follower clusters, 0s for not at all',
  },
  {
    key: 'replication.log-cache-size',
    kind: 'int' as const,
    default: 0,
    field: 'replication.logCacheEntries',
    description: 'log entries of a table kept in memory for follower clusters',
  },
].map((setting) => ({
  ...setting,
  appliesTo: ['leader', ...(OF_BOTH_ROLES.has(setting.key) ? ['follower'] : []), 'recover'],
}));

const RECOVER: readonly Setting[] = [
  {
    key: 'recover.accept-data-loss',
    kind: 'bool',
    default: false,
    appliesTo: ['recover'],
    description: 'do it, knowing what is given up; without it the command only says so',
  },
];

export const KV_NODE_SETTINGS = defineSettings([
  ...GENERAL,
  ...API,
  ...REST,
  ...RAFT,
  ...MEMBERLIST,
  ...STORAGE,
  ...SERVICES,
  ...REPLICATION,
  ...FOLLOWER_SETTINGS,
  ...RECOVER,
]);
