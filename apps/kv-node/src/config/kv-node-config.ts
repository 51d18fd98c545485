/**
 * The configuration of a kv-node as the rest of the app reads it: `config.raft.nodeHostDir`.
 *
 * Each field is filled from the setting of the same name in `settings.ts`; the decorators say what
 * its value may be. The initial values below only give the fields their type: loading sets them all,
 * and a field without a setting is refused at start. The loaded object is frozen.
 */
import { GRPC_TRANSPORTS, type GrpcTransport } from '@flotilla/grpc';
import { Type } from 'class-transformer';
import { ValidateNested } from 'class-validator';
import { RANGE_CACHE_BYTES_MAX, VERSION_CACHE_BYTES_MAX } from '@flotilla/mvcc';
import {
  AddressesByNumber,
  CertificateForTls,
  CLI_ENVIRONMENT,
  ClientTlsConfig,
  type ConfigSchema,
  constraint,
  DurationBetween,
  Flag,
  GreaterThanField,
  HostAndPort,
  HostAndPortList,
  IntegerAtLeast,
  IntegerBetween,
  LOG_LEVELS,
  type LogLevel,
  OneOf,
  RequiredText,
  ServiceUrl,
  ServiceUrlList,
  Text,
  TextList,
  TlsConfig,
} from '@flotilla/platform';
import { SNAPSHOT_SOURCES, type SnapshotSource } from './follower-settings.js';
import {
  KV_NODE_SETTINGS,
  LOGDB_KINDS,
  type LogdbKind,
  SNAPSHOT_RECOVERY_TYPES,
  type SnapshotRecoveryType,
  STORAGE_ENGINES,
  type StorageEngine,
} from './settings.js';

const UINT32_MAX = 2 ** 32 - 1;
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const LOG_RETENTION_MS_MAX = 30 * DAY_MS;
/** A write waits for a majority: more copies cost latency and win little. */
const REPLICAS_MAX = 9;

/** Two nodes that take themselves for the same member would vote twice: refuse to start. */
function HoldsThisNode(): PropertyDecorator {
  const message = 'expected to hold this node, its {field:nodeId} with its {field:address}';
  return constraint('holdsThisNode', message, (value, siblings) => {
    const members = Object.entries((value ?? {}) as Record<string, unknown>);
    return (
      members.length === 0 ||
      members.some(
        ([id, address]) => id === String(siblings['nodeId']) && address === siblings['address'],
      )
    );
  });
}

export class ApiConfig extends TlsConfig {
  @CertificateForTls() @ServiceUrl() readonly address: string = '';
  @ServiceUrl() readonly advertiseAddress: string = '';
  @IntegerBetween(0, UINT32_MAX) readonly maxConcurrentConnections: number = 0;
  @IntegerBetween(0, UINT32_MAX) readonly maxConcurrentStreams: number = 0;
  @OneOf(GRPC_TRANSPORTS) readonly transport: GrpcTransport = 'native';
  @IntegerAtLeast(-UINT32_MAX) readonly streamWorkers: number = 0;
}

export class RestConfig {
  @ServiceUrl(['http']) readonly address: string = '';
  @DurationBetween(1, 60 * MINUTE_MS) readonly readTimeoutMs: number = 0;
}

export class RaftConfig extends TlsConfig {
  @HostAndPort({ hostRequired: true }) readonly address: string = '';
  @HostAndPort() readonly listenAddress: string = '';
  @IntegerAtLeast(1) readonly nodeId: number = 0;
  @HoldsThisNode()
  @AddressesByNumber()
  readonly initialMembers: Readonly<Record<string, string>> = {};
  @Flag() readonly join: boolean = false;
  @RequiredText('a folder') readonly nodeHostDir: string = '';
  @RequiredText('a folder') readonly walDir: string = '';
  @RequiredText('a folder') readonly stateMachineDir: string = '';
  @DurationBetween(1, MINUTE_MS) readonly rttMs: number = 0;
  @IntegerBetween(1, UINT32_MAX) readonly heartbeatRtt: number = 0;
  @GreaterThanField('heartbeatRtt') @IntegerBetween(2, UINT32_MAX) readonly electionRtt: number = 0;
  @IntegerAtLeast(0) readonly snapshotEntries: number = 0;
  @IntegerAtLeast(0) readonly compactionOverheadEntries: number = 0;
  @IntegerAtLeast(0) readonly inMemoryLogBytesMax: number = 0;
  @IntegerAtLeast(0) readonly receiveQueueBytesMax: number = 0;
  @IntegerAtLeast(0) readonly sendQueueBytesMax: number = 0;
  @IntegerAtLeast(1) readonly logBytesMax: number = 0;
  @OneOf(SNAPSHOT_RECOVERY_TYPES) readonly snapshotRecoveryType: SnapshotRecoveryType = '';
  @OneOf(LOGDB_KINDS) readonly logdb: LogdbKind = 'tan';

  /** The first members by node id; this node alone where none are named. */
  members(): ReadonlyMap<number, string> {
    const named = Object.entries(this.initialMembers);
    if (named.length === 0) return new Map([[this.nodeId, this.address]]);
    return new Map(named.map(([id, address]) => [Number(id), address]));
  }
}

export class MemberlistConfig {
  @HostAndPort() readonly address: string = '';
  @HostAndPort({ optional: true, hostRequired: true }) readonly advertiseAddress: string = '';
  @HostAndPortList() readonly members: readonly string[] = [];
  @RequiredText('a name') readonly clusterName: string = '';
  @Text() readonly nodeName: string = '';
}

export class StorageConfig {
  @OneOf(STORAGE_ENGINES) readonly engine: StorageEngine = 'rocksdb';
  @IntegerAtLeast(0) readonly blockCacheBytes: number = 0;
  @IntegerBetween(0, VERSION_CACHE_BYTES_MAX) readonly versionCacheBytes: number = 0;
  @IntegerBetween(0, RANGE_CACHE_BYTES_MAX) readonly rangeCacheBytes: number = 0;
  @IntegerBetween(1, UINT32_MAX) readonly tableCacheFiles: number = 0;
}

export class MaintenanceConfig extends ClientTlsConfig {
  @Flag() readonly enabled: boolean = false;
  @Text() readonly token: string = '';
  /** None: backups and restores are not served here. */
  @ServiceUrlList({ optional: true }) readonly addresses: readonly string[] = [];
}

export class TablesConfig {
  @Flag() readonly enabled: boolean = false;
  @IntegerBetween(1, REPLICAS_MAX) readonly replicas: number = 0;
  @Text() readonly token: string = '';
  @TextList() readonly names: readonly string[] = [];
  @TextList() readonly delete: readonly string[] = [];
}

export class ReplicationConfig extends TlsConfig {
  @Flag() readonly enabled: boolean = false;
  @CertificateForTls() @ServiceUrl() readonly address: string = '';
  @IntegerAtLeast(1) readonly sendMessageBytesMax: number = 0;
  @IntegerAtLeast(0) readonly logRetentionBytes: number = 0;
  @DurationBetween(0, LOG_RETENTION_MS_MAX) readonly logRetentionTimeMs: number = 0;
  @IntegerAtLeast(0) readonly logCacheEntries: number = 0;
  /** Of the leader cluster; none in a leader cluster. */
  @ServiceUrlList({ optional: true }) readonly leaderAddresses: readonly string[] = [];
  @Text() readonly token: string = '';
  @DurationBetween(SECOND_MS, DAY_MS) readonly keepaliveTimeMs: number = 0;
  @DurationBetween(SECOND_MS, DAY_MS) readonly keepaliveTimeoutMs: number = 0;
  @Flag() readonly insecureSkipVerify: boolean = false;
  @Text() readonly serverName: string = '';
  @IntegerAtLeast(1) readonly receiveMessageBytesMax: number = 0;
  @DurationBetween(1, DAY_MS) readonly pollIntervalMs: number = 0;
  @DurationBetween(1, DAY_MS) readonly reconcileIntervalMs: number = 0;
  @DurationBetween(1, DAY_MS) readonly leaseIntervalMs: number = 0;
  @DurationBetween(1, DAY_MS) readonly logRpcTimeoutMs: number = 0;
  @DurationBetween(1, DAY_MS) readonly snapshotRpcTimeoutMs: number = 0;
  @IntegerBetween(1, UINT32_MAX) readonly recoveriesInFlightMax: number = 0;
  @IntegerAtLeast(0) readonly snapshotReceiveBytesPerSecondMax: number = 0;
  @OneOf(SNAPSHOT_SOURCES) readonly snapshotSource: SnapshotSource = 'auto';
}

export class RecoverConfig {
  @Flag() readonly acceptDataLoss: boolean = false;
}

export class KvNodeConfig {
  @RequiredText('a folder') readonly dataDir: string = '';
  @Flag() readonly devMode: boolean = false;
  @OneOf(LOG_LEVELS) readonly logLevel: LogLevel = 'INFO';
  @ValidateNested() @Type(() => ApiConfig) readonly api: ApiConfig = new ApiConfig();
  @ValidateNested() @Type(() => RestConfig) readonly rest: RestConfig = new RestConfig();
  @ValidateNested() @Type(() => RaftConfig) readonly raft: RaftConfig = new RaftConfig();
  @ValidateNested()
  @Type(() => MemberlistConfig)
  readonly memberlist: MemberlistConfig = new MemberlistConfig();
  @ValidateNested() @Type(() => StorageConfig) readonly storage: StorageConfig =
    new StorageConfig();
  @ValidateNested()
  @Type(() => MaintenanceConfig)
  readonly maintenance: MaintenanceConfig = new MaintenanceConfig();
  @ValidateNested() @Type(() => TablesConfig) readonly tables: TablesConfig = new TablesConfig();
  @ValidateNested() @Type(() => RecoverConfig) readonly recover: RecoverConfig =
    new RecoverConfig();
  @ValidateNested()
  @Type(() => ReplicationConfig)
  readonly replication: ReplicationConfig = new ReplicationConfig();

  /** Whether the tables of this node are copies of those of a leader cluster. */
  get isFollower(): boolean {
    return this.replication.leaderAddresses.length > 0;
  }
}

export function kvNodeSchema(version: string): ConfigSchema<KvNodeConfig> {
  return {
    program: {
      name: 'kv-node',
      description: 'Flotilla kv-node: keeps tables and serves them to clients',
      version,
      commands: [
        { name: 'leader', description: 'a node of the leader cluster, which takes writes' },
        {
          name: 'follower',
          description: 'a node of a follower cluster: reads here, writes in the leader cluster',
        },
        {
          name: 'recover',
          description: 'offline: make this node a cluster of its own after the majority was lost',
        },
      ],
    },
    settings: KV_NODE_SETTINGS,
    type: KvNodeConfig,
    reservedEnvironment: CLI_ENVIRONMENT,
  };
}
