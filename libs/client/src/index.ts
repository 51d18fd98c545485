/** Public face of the TypeScript client. */
export { ClientError, toClientError } from './client-error.js';
export type {
  AddedNode,
  ClusterCalls,
  NewNode,
  NodeDescription,
  NodeList,
  PlacementDescription,
  PlannedMove,
  PromotedTable,
  Promotion,
} from './cluster-calls.js';
export { FlotillaClient, type FlotillaClientOptions } from './flotilla-client.js';
export type { ReplicationState, TableReplication } from './replication-calls.js';
export * from './types.js';
