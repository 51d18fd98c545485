/**
 * The configuration of the app as the rest of it reads it: `config.backup.store`.
 *
 * Each field is filled from the setting of the same name in `settings.ts`; the decorators say what
 * its value may be. The initial values below only give the fields their type: loading sets them
 * all, and a field without a setting is refused at start. The loaded object is frozen.
 */
import {
  CHUNK_BYTES_MAX,
  CHUNK_BYTES_MIN,
  LOG_INTERVAL_MS_MAX,
  LOG_INTERVAL_MS_MIN,
  TABLES_AT_ONCE_MAX,
} from '@flotilla/backup';
import { GRPC_TRANSPORTS, type GrpcTransport } from '@flotilla/grpc';
import { ObjectStoreError, parseObjectStoreUrl } from '@flotilla/object-store';
import {
  CertificateForTls,
  CLI_ENVIRONMENT,
  ClientTlsConfig,
  type ConfigSchema,
  constraint,
  DurationBetween,
  Flag,
  IntegerBetween,
  LOG_LEVELS,
  type LogLevel,
  OneOf,
  ServiceUrl,
  ServiceUrlList,
  Text,
  TlsConfig,
} from '@flotilla/platform';
import { Type } from 'class-transformer';
import { Cron } from 'croner';
import { IsObject, ValidateNested } from 'class-validator';
import { MAINTENANCE_SETTINGS } from './settings.js';

const HOUR_MS = 3_600_000;
const KEPT_MAX = 10_000;

/** The nodes of the cluster, and how this app proves to them who it is. */
export class ClusterConfig extends ClientTlsConfig {
  @ServiceUrlList() readonly addresses: readonly string[] = [];
  @Text() readonly token: string = '';
}

export class MaintenanceServerConfig extends TlsConfig {
  @CertificateForTls() @ServiceUrl() readonly address: string = '';
  @Text() readonly token: string = '';
  @OneOf(GRPC_TRANSPORTS) readonly transport: GrpcTransport = 'native';
}

/** A key of this id has a file. */
function KnownKey(): PropertyDecorator {
  const message = 'needs a file of this id in {field:keyFiles}';
  return constraint('knownKey', message, (value, { keyFiles }) => {
    if (value === '') return true;
    return (
      typeof value === 'string' &&
      typeof keyFiles === 'object' &&
      keyFiles !== null &&
      Object.hasOwn(keyFiles, value)
    );
  });
}

function CronExpression(): PropertyDecorator {
  return constraint('cron', 'expected a cron expression such as "0 3 * * *"', (value) => {
    if (typeof value !== 'string') return false;
    if (value === '') return true;
    try {
      return new Cron(value, { paused: true }).nextRun() !== null;
    } catch {
      return false;
    }
  });
}

/** Nothing, or often enough and not too often; of logs that have somewhere to go. */
function LogInterval(): PropertyDecorator {
  const message = 'expected 0s, or a duration from 1s to 1h with {field:store} set';
  return constraint('logInterval', message, (value, { store }) => {
    if (value === 0) return true;
    const isBetween =
      typeof value === 'number' && value >= LOG_INTERVAL_MS_MIN && value <= LOG_INTERVAL_MS_MAX;
    return isBetween && store !== '';
  });
}

export class BackupConfig {
  @constraint(
    'storeUrl',
    'expected a URL such as file:///backups or s3://bucket/prefix',
    isStoreUrl,
  )
  readonly store: string = '';
  @Text() readonly runner: string = '';
  @IsObject({ message: 'expected id=file pairs' })
  readonly keyFiles: Readonly<Record<string, string>> = {};
  @KnownKey() @Text() readonly keyId: string = '';
  @IntegerBetween(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX) readonly chunkBytes: number = 0;
  @IntegerBetween(1, TABLES_AT_ONCE_MAX) readonly tablesAtOnce: number = 0;
  /** 0: logs are not shipped. */
  @LogInterval() readonly logShippingMs: number = 0;
}

/** Which backups a prune leaves. */
export class RetentionConfig {
  @IntegerBetween(1, KEPT_MAX) readonly keepLast: number = 0;
  @IntegerBetween(0, KEPT_MAX) readonly keepHourly: number = 0;
  @IntegerBetween(0, KEPT_MAX) readonly keepDaily: number = 0;
  @IntegerBetween(0, KEPT_MAX) readonly keepWeekly: number = 0;
  /** Longer than the longest silence of a run that lives. */
  @DurationBetween(HOUR_MS, 365 * 24 * HOUR_MS) readonly unfinishedMs: number = 0;
}

/** When what is done by itself, as cron expressions; empty for never. */
export class ScheduleConfig {
  @CronExpression() readonly full: string = '';
  @CronExpression() readonly incremental: string = '';
  @CronExpression() readonly drill: string = '';
}

export class RestConfig {
  @ServiceUrl(['http']) readonly address: string = '';
  @DurationBetween(1, HOUR_MS) readonly readTimeoutMs: number = 0;
}

export class MaintenanceConfig {
  @Flag() readonly devMode: boolean = false;
  @OneOf(LOG_LEVELS) readonly logLevel: LogLevel = 'INFO';
  @ValidateNested() @Type(() => ClusterConfig) readonly cluster: ClusterConfig =
    new ClusterConfig();
  @ValidateNested()
  @Type(() => MaintenanceServerConfig)
  readonly maintenance: MaintenanceServerConfig = new MaintenanceServerConfig();
  @ValidateNested() @Type(() => BackupConfig) readonly backup: BackupConfig = new BackupConfig();
  @ValidateNested()
  @Type(() => RetentionConfig)
  readonly retention: RetentionConfig = new RetentionConfig();
  @ValidateNested()
  @Type(() => ScheduleConfig)
  readonly schedule: ScheduleConfig = new ScheduleConfig();
  @ValidateNested() @Type(() => RestConfig) readonly rest: RestConfig = new RestConfig();
}

export function maintenanceSchema(version: string): ConfigSchema<MaintenanceConfig> {
  return {
    program: {
      name: 'maintenance',
      description: 'Flotilla maintenance: backups and restores of a cluster',
      version,
      commands: [
        { name: 'leader', description: 'in a leader cluster: serves backups and restores' },
        { name: 'follower', description: 'in a follower cluster: serves backups and resets' },
      ],
    },
    settings: MAINTENANCE_SETTINGS,
    type: MaintenanceConfig,
    reservedEnvironment: CLI_ENVIRONMENT,
  };
}

function isStoreUrl(value: unknown): boolean {
  if (typeof value !== 'string') return false;
  try {
    if (value !== '') parseObjectStoreUrl(value);
    return true;
  } catch (error) {
    if (error instanceof ObjectStoreError) return false;
    throw error;
  }
}
