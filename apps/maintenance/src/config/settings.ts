/**
 * The settings of the maintenance app, named and defaulted as users of Regatta know them where it has
 * them: there, the nodes of the leader cluster serve this port themselves.
 *
 * One list: configuration files, environment, flags and help are made from it. What a value may be
 * is said in `maintenance-config.ts`.
 */
import { GRPC_TRANSPORTS } from '@flotilla/grpc';
import {
  clientTlsSettings,
  defineSettings,
  LOG_LEVELS,
  type Setting,
  tlsSettings,
} from '@flotilla/platform';
import { BACKUP_SETTINGS } from './backup-settings.js';

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
  ...clientTlsSettings('cluster', 'a node'),
];

const MAINTENANCE: readonly Setting[] = [
  {
    key: 'maintenance.address',
    kind: 'url',
    default: 'http://0.0.0.0:8445',
    description: 'where backups and restores are served',
  },
  {
    key: 'maintenance.token',
    kind: 'string',
    default: '',
    secret: true,
    description: 'bearer token that callers have to show, empty for none',
  },
  ...tlsSettings('maintenance', 'maintenance server'),
  {
    key: 'maintenance.transport',
    kind: 'enum',
    values: GRPC_TRANSPORTS,
    default: 'native',
    description: 'what speaks gRPC with callers',
  },
];

const REST: readonly Setting[] = [
  {
    key: 'rest.address',
    kind: 'url',
    // Those of a node and a gateway are higher: all may run on one machine.
    default: 'http://127.0.0.1:8077',
    description: 'where metrics and health are served',
  },
  {
    key: 'rest.read-timeout',
    kind: 'duration',
    default: '5s',
    description: 'time a request may take to arrive',
  },
];

export const MAINTENANCE_SETTINGS = defineSettings([
  ...GENERAL,
  ...CLUSTER,
  ...MAINTENANCE,
  ...BACKUP_SETTINGS,
  ...REST,
]);
