/**
 * The configuration of a gateway as the rest of the app reads it: `config.cluster.addresses`.
 *
 * Each field is filled from the setting of the same name in `settings.ts`; the decorators say what
 * its value may be. The initial values below only give the fields their type: loading sets them
 * all, and a field without a setting is refused at start. The loaded object is frozen.
 */
import { GRPC_TRANSPORTS, type GrpcTransport } from '@flotilla/grpc';
import {
  CertificateForTls,
  CLI_ENVIRONMENT,
  type ConfigSchema,
  DurationBetween,
  Flag,
  IntegerAtLeast,
  IntegerBetween,
  LOG_LEVELS,
  type LogLevel,
  NeedsField,
  OneOf,
  ServiceUrl,
  ServiceUrlList,
  Text,
  TlsConfig,
} from '@flotilla/platform';
import { Type } from 'class-transformer';
import { ValidateNested } from 'class-validator';
import { type Compression, COMPRESSIONS } from './compression.js';
import { GATEWAY_SETTINGS } from './settings.js';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** A lease lasts three intervals; nodes give it for 100 ms at least and 5 minutes at most. */
const LEASE_INTERVAL_MS_MIN = 50;
const LEASE_INTERVAL_MS_MAX = 100 * SECOND_MS;
const INTERVAL_MS_MIN = 10;
const HEARTBEAT_INTERVAL_MS_MIN = 50;
const HEARTBEAT_INTERVAL_MS_MAX = MINUTE_MS;
const RECOVERIES_MAX = 64;
/** A message of one command has to fit, whatever its size. */
const SEND_MESSAGE_BYTES_MIN = 1024;
const SEND_MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/** The nodes of the cluster, and how a gateway proves to them who it is. */
export class ClusterConfig {
  @ServiceUrlList() readonly addresses: readonly string[] = [];
  @Text() readonly token: string = '';
  @Text() readonly caFilename: string = '';
  @NeedsField('keyFilename') @Text() readonly certFilename: string = '';
  @NeedsField('certFilename') @Text() readonly keyFilename: string = '';
  @Text() readonly serverName: string = '';
}

export class ReplicationConfig extends TlsConfig {
  @CertificateForTls() @ServiceUrl() readonly address: string = '';
  @IntegerBetween(SEND_MESSAGE_BYTES_MIN, SEND_MESSAGE_BYTES_MAX)
  readonly sendMessageBytesMax: number = 0;
  @DurationBetween(HEARTBEAT_INTERVAL_MS_MIN, HEARTBEAT_INTERVAL_MS_MAX)
  readonly heartbeatIntervalMs: number = 0;
  @OneOf(COMPRESSIONS) readonly compression: Compression = 'snappy';
  @OneOf(GRPC_TRANSPORTS) readonly transport: GrpcTransport = 'native';
  /** Of the leader cluster; none in a leader cluster, where the rest is of no meaning either. */
  @ServiceUrlList({ optional: true }) readonly leaderAddresses: readonly string[] = [];
  @Text() readonly token: string = '';
  @DurationBetween(SECOND_MS, DAY_MS) readonly keepaliveTimeMs: number = 0;
  @DurationBetween(SECOND_MS, DAY_MS) readonly keepaliveTimeoutMs: number = 0;
  @Flag() readonly insecureSkipVerify: boolean = false;
  @Text() readonly serverName: string = '';
  @IntegerAtLeast(1) readonly receiveMessageBytesMax: number = 0;
  @DurationBetween(INTERVAL_MS_MIN, DAY_MS) readonly pollIntervalMs: number = 0;
  @DurationBetween(INTERVAL_MS_MIN, DAY_MS) readonly reconcileIntervalMs: number = 0;
  @DurationBetween(LEASE_INTERVAL_MS_MIN, LEASE_INTERVAL_MS_MAX)
  readonly leaseIntervalMs: number = 0;
  @DurationBetween(1, DAY_MS) readonly logRpcTimeoutMs: number = 0;
  @DurationBetween(1, DAY_MS) readonly snapshotRpcTimeoutMs: number = 0;
  @IntegerBetween(1, RECOVERIES_MAX) readonly recoveriesInFlightMax: number = 0;
  @IntegerAtLeast(0) readonly snapshotReceiveBytesPerSecondMax: number = 0;
}

export class RestConfig {
  @ServiceUrl(['http']) readonly address: string = '';
  @DurationBetween(1, 60 * MINUTE_MS) readonly readTimeoutMs: number = 0;
}

export class GatewayConfig {
  @Flag() readonly devMode: boolean = false;
  @OneOf(LOG_LEVELS) readonly logLevel: LogLevel = 'INFO';
  @ValidateNested() @Type(() => ClusterConfig) readonly cluster: ClusterConfig =
    new ClusterConfig();
  @ValidateNested()
  @Type(() => ReplicationConfig)
  readonly replication: ReplicationConfig = new ReplicationConfig();
  @ValidateNested() @Type(() => RestConfig) readonly rest: RestConfig = new RestConfig();
}

export function gatewaySchema(version: string): ConfigSchema<GatewayConfig> {
  return {
    program: {
      name: 'replication-gateway',
      description: 'Flotilla replication gateway: carries tables between clusters',
      version,
      commands: [
        { name: 'leader', description: 'in the leader cluster: serves follower clusters' },
        {
          name: 'follower',
          description: 'in a follower cluster: pulls the tables of the leader cluster',
        },
      ],
    },
    settings: GATEWAY_SETTINGS,
    type: GatewayConfig,
    reservedEnvironment: CLI_ENVIRONMENT,
  };
}
