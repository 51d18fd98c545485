/**
 * The settings that a gateway of a follower cluster has and one of the leader cluster has not,
 * named as users of Regatta's `follower` know them: there, the nodes pull themselves.
 *
 * Nothing but data. Where a default differs from Regatta's, the reason stands beside it.
 */
import { type Setting } from '@flotilla/platform';

const WAYS: readonly Setting[] = [
  {
    key: 'replication.leader-address',
    kind: 'list',
    // Regatta's default cannot work, and asks for the setting all the same.
    default: [],
    requiredBy: ['follower'],
    field: 'replication.leaderAddresses',
    description: 'replication addresses of the leader cluster, http(s)://host:8444, in turn',
  },
  {
    key: 'replication.token',
    kind: 'string',
    default: '',
    secret: true,
    description: 'bearer token sent to the leader cluster, empty for none',
  },
  {
    key: 'replication.keepalive-time',
    kind: 'duration',
    default: '1m',
    description: 'time between pings of the leader cluster',
  },
  {
    key: 'replication.keepalive-timeout',
    kind: 'duration',
    default: '10s',
    description: 'time an answer to a ping may take',
  },
  {
    key: 'replication.insecure-skip-verify',
    kind: 'bool',
    default: false,
    description: 'do not check the certificate of the leader cluster',
  },
  {
    key: 'replication.server-name',
    kind: 'string',
    default: '',
    description: 'name to look for in the certificate of the leader cluster',
  },
  {
    key: 'replication.max-recv-message-size-bytes',
    kind: 'uint64',
    default: 8_388_608,
    field: 'replication.receiveMessageBytesMax',
    description: 'size of one message from the leader cluster',
  },
];

const PULLING: readonly Setting[] = [
  {
    key: 'replication.poll-interval',
    kind: 'duration',
    default: '1s',
    description: 'time between polls of a table that is idle; one in use is polled sooner',
  },
  {
    key: 'replication.reconcile-interval',
    kind: 'duration',
    // 30 s in Regatta: a new table is there only after that.
    default: '500ms',
    description: 'time between looks at which tables the leader cluster has',
  },
  {
    key: 'replication.lease-interval',
    kind: 'duration',
    // 15 s in Regatta, where the tables of a puller that died stand still for a minute.
    default: '750ms',
    description: 'time between signs of life of a gateway; it counts as dead after four of them',
  },
  {
    key: 'replication.log-rpc-timeout',
    kind: 'duration',
    default: '1m',
    description: 'time a poll may take',
  },
  {
    key: 'replication.snapshot-rpc-timeout',
    kind: 'duration',
    default: '1h',
    description: 'time a snapshot may take',
  },
  {
    key: 'replication.max-recovery-in-flight',
    kind: 'int',
    default: 1,
    field: 'replication.recoveriesInFlightMax',
    description: 'snapshots fetched at a time by this gateway',
  },
  {
    key: 'replication.max-snapshot-recv-bytes-per-second',
    kind: 'uint64',
    default: 0,
    field: 'replication.snapshotReceiveBytesPerSecondMax',
    description: 'bandwidth of all snapshots together, as they are sent; 0 for no bound',
  },
];

export const FOLLOWER_SETTINGS: readonly Setting[] = [...WAYS, ...PULLING].map((setting) => ({
  ...setting,
  appliesTo: ['follower'],
}));
