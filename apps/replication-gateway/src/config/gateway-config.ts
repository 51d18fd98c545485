/**
 * The configuration of a gateway as the rest of the app reads it: `config.cluster.addresses`.
 *
 * Each field is filled from the setting of the same name in `settings.ts`; the decorators say what
 * its value may be. The initial values below only give the fields their type: loading sets them all,
 * and a field without a setting is refused at start. The loaded object is frozen.
 */
import { GRPC_TRANSPORTS, type GrpcTransport } from '@flotilla/grpc';
import {
  CertificateForTls,
  CLI_ENVIRONMENT,
  type ConfigSchema,
  DurationBetween,
  Flag,
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
import { GATEWAY_SETTINGS } from './settings.js';

const MINUTE_MS = 60_000;
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
  @OneOf(GRPC_TRANSPORTS) readonly transport: GrpcTransport = 'native';
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
      ],
    },
    settings: GATEWAY_SETTINGS,
    type: GatewayConfig,
    reservedEnvironment: CLI_ENVIRONMENT,
  };
}
