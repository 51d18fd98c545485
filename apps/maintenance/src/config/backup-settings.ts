/** The settings of backups: where they lie, how they are made. Nothing but data. */
import { type Setting } from '@flotilla/platform';

export const BACKUP_SETTINGS: readonly Setting[] = [
  {
    key: 'backup.store',
    kind: 'string',
    default: '',
    description:
      'where backups lie: file:///a/folder or s3://bucket/prefix?region=...; empty: nowhere',
  },
  {
    key: 'backup.runner',
    kind: 'string',
    default: '',
    description: 'name that goes on with its own broken runs at once; empty: that of the host',
  },
  {
    key: 'backup.key-files',
    kind: 'map',
    default: {},
    description:
      'keys of encrypted backups by id: 2026=/run/keys/2026; 32 bytes, raw, hex or base64',
  },
  {
    key: 'backup.key-id',
    kind: 'string',
    default: '',
    description: 'key that new backups are encrypted with; empty: they are not',
  },
  {
    key: 'backup.chunk-bytes',
    kind: 'uint64',
    default: 8_388_608,
    description: 'size of a piece of a table before packing',
  },
  {
    key: 'backup.tables-at-once',
    kind: 'int',
    default: 4,
    description: 'tables that are backed up or restored at the same time',
  },
  {
    key: 'backup.log-shipping',
    kind: 'duration',
    default: '0s',
    description: 'writes are in the store so long after they were made, at least 1s; 0s: never',
  },
  {
    key: 'retention.keep-last',
    kind: 'int',
    default: 3,
    description: 'the newest so many backups are kept, whatever else',
  },
  {
    key: 'retention.keep-hourly',
    kind: 'int',
    default: 24,
    description: 'hours for each of which the newest backup is kept',
  },
  {
    key: 'retention.keep-daily',
    kind: 'int',
    default: 7,
    description: 'days for each of which the newest backup is kept',
  },
  {
    key: 'retention.keep-weekly',
    kind: 'int',
    default: 4,
    description: 'weeks for each of which the newest backup is kept',
  },
  {
    key: 'retention.unfinished',
    kind: 'duration',
    default: '24h',
    description: 'what a run that died has left is deleted when it is so old',
  },
  {
    key: 'schedule.full',
    kind: 'string',
    default: '',
    description: 'when full backups are made, as a cron expression in UTC; empty: never',
  },
  {
    key: 'schedule.incremental',
    kind: 'string',
    default: '',
    description: 'when incremental backups are made; full where there is nothing to add to',
  },
  {
    key: 'schedule.drill',
    kind: 'string',
    default: '',
    description: 'when the newest backup is restored out of sight, to see whether it can be',
  },
];
