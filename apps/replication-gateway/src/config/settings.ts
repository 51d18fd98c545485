/**
 * The settings of a replication gateway, named and defaulted as users of Regatta know them where it
 * has them: there, the nodes of the leader cluster serve this port themselves.
 *
 * One list: configuration files, environment, flags and help are made from it. What a value may be
 * is said in `gateway-config.ts`.
 */
import { GRPC_TRANSPORTS } from '@flotilla/grpc';
import { defineSettings, LOG_LEVELS, type Setting, tlsSettings } from '@flotilla/platform';
import { COMPRESSIONS } from './compression.js';
import { FOLLOWER_SETTINGS } from './follower-settings.js';

const GENERAL: readonly Setting[] = [
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

const CLUSTER: readonly Setting[] = [
  {
    key: 'cluster.addresses',
    kind: 'list',
    default: ['http://127.0.0.1:8443'],
    description: 'API addresses of some nodes of this cluster; the others are learnt from them',
  },
  {
    key: 'cluster.token',
    kind: 'string',
    default: '',
    secret: true,
    description: 'bearer token of the tables API of the nodes',
  },
  {
    key: 'cluster.ca-filename',
    kind: 'path',
    default: '',
    description: 'authorities that certificates of the nodes are signed by (PEM)',
  },
  {
    key: 'cluster.cert-filename',
    kind: 'path',
    default: '',
    description: 'certificate to show to the nodes (PEM)',
  },
  {
    key: 'cluster.key-filename',
    kind: 'path',
    default: '',
    description: 'private key of that certificate (PEM)',
  },
  {
    key: 'cluster.server-name',
    kind: 'string',
    default: '',
    description: 'name in the certificates of the nodes, where it is not that of their address',
  },
];

/** The leader cluster serves with these, a follower cluster shows and trusts them. */
const OF_BOTH_ROLES = new Set(['cert', 'key', 'ca'].map((file) => `replication.${file}-filename`));

const REPLICATION: readonly Setting[] = [
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
    key: 'replication.heartbeat-interval',
    kind: 'duration' as const,
    default: '1s',
    description: 'time between messages to an attached gateway that has nothing else to be told',
  },
  {
    key: 'replication.compression',
    kind: 'enum' as const,
    values: COMPRESSIONS,
    default: 'snappy',
    description: 'how messages to attached gateways are packed, if those can unpack it',
  },
  {
    key: 'replication.transport',
    kind: 'enum' as const,
    values: GRPC_TRANSPORTS,
    default: 'native',
    description: 'what speaks gRPC with follower clusters',
  },
].map((setting) => ({
  ...setting,
  appliesTo: ['leader', ...(OF_BOTH_ROLES.has(setting.key) ? ['follower'] : [])],
}));

const REST: readonly Setting[] = [
  {
    key: 'rest.address',
    kind: 'url',
    // That of a node is one higher: both may run on one machine.
    default: 'http://127.0.0.1:8078',
    description: 'where metrics and health are served',
  },
  {
    key: 'rest.read-timeout',
    kind: 'duration',
    default: '5s',
    description: 'time a request may take to arrive',
  },
];

export const GATEWAY_SETTINGS = defineSettings([
  ...GENERAL,
  ...CLUSTER,
  ...REPLICATION,
  ...FOLLOWER_SETTINGS,
  ...REST,
]);
