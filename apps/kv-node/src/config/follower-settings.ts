/**
 * The settings that a node of a follower cluster has and one of the leader cluster has not, named and
 * defaulted as users of Regatta's `follower` know them.
 *
 * Nothing but data. Where a default differs from Regatta's, the reason stands beside it. What only the
 * pullers of the replication gateway go by is accepted here, because Regatta has both in one process.
 */
import { type Setting } from '@flotilla/platform';

export const SNAPSHOT_SOURCES = ['auto', 'direct', 'proxy'] as const;
export type SnapshotSource = (typeof SNAPSHOT_SOURCES)[number];

const OF_PULLERS = 'accepted for compatibility, has no effect on a kv-node';

export const FOLLOWER_SETTINGS: readonly Setting[] = [
  {
    key: 'replication.leader-address',
    kind: 'list' as const,
    // Regatta's default cannot work, and asks for the setting all the same.
    default: [],
    requiredBy: ['follower'],
    field: 'replication.leaderAddresses',
    description: 'replication addresses of the leader cluster, http(s)://host:8444, in turn',
  },
  {
    key: 'replication.token',
    kind: 'string' as const,
    default: '',
    secret: true,
    description: 'bearer token sent to the leader cluster, empty for none',
  },
  {
    key: 'replication.keepalive-time',
    kind: 'duration' as const,
    default: '1m',
    description: 'time between pings of the leader cluster',
  },
  {
    key: 'replication.keepalive-timeout',
    kind: 'duration' as const,
    default: '10s',
    description: 'time an answer to a ping may take',
  },
  {
    key: 'replication.insecure-skip-verify',
    kind: 'bool' as const,
    default: false,
    description: 'do not check the certificate of the leader cluster',
  },
  {
    key: 'replication.server-name',
    kind: 'string' as const,
    default: '',
    description: 'name to look for in the certificate of the leader cluster',
  },
  {
    key: 'replication.max-recv-message-size-bytes',
    kind: 'uint64' as const,
    default: 8_388_608,
    field: 'replication.receiveMessageBytesMax',
    description: 'size of one message from the leader cluster',
  },
  ...pullerSettings(),
].map((setting) => ({ ...setting, appliesTo: ['follower'] }));

function pullerSettings(): readonly Setting[] {
  const of = (key: string, kind: Setting['kind'], value: string | number, what: string) => {
    return { key: `replication.${key}`, kind, default: value, description: what };
  };
  const told = (what: string): string => `${what}: ${OF_PULLERS}`;
  return [
    of('poll-interval', 'duration', '1s', told('time between polls of a table')),
    of('reconcile-interval', 'duration', '30s', told('time between looks for tables')),
    of('lease-interval', 'duration', '15s', told('time between tries for a table')),
    of('log-rpc-timeout', 'duration', '1m', told('time a poll may take')),
    of('snapshot-rpc-timeout', 'duration', '1h', told('time a snapshot may take')),
    {
      ...of('max-recovery-in-flight', 'int', 1, told('snapshots fetched at a time')),
      field: 'replication.recoveriesInFlightMax',
    },
    {
      ...of('max-snapshot-recv-bytes-per-second', 'uint64', 0, told('bandwidth of snapshots')),
      field: 'replication.snapshotReceiveBytesPerSecondMax',
    },
    {
      ...of('snapshot-source', 'enum', 'auto', told('where snapshots come from')),
      values: SNAPSHOT_SOURCES,
    },
  ];
}
