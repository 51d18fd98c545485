/**
 * Public face of the wire contract: generated types and codecs, one namespace per proto package.
 *
 * `regatta.v1` is what clients speak, `mvcc.v1` what the Raft log holds, `replication.v1` and
 * `maintenance.v1` what clusters and operators use, `flotilla.*` what stays inside a cluster.
 * 64-bit integers are bigint here and become numbers one layer further in. `hot` has hand-written
 * codecs of the messages of the request path.
 */
export * as applyV1 from './generated/flotilla/replication/v1/apply.js';
export * as flotillaV1 from './generated/flotilla/v1/catalog.js';
export * as clusterV1 from './generated/flotilla/cluster/v1/cluster.js';
export * as feedV1 from './generated/flotilla/replication/v1/feed.js';
export * as backupsV1 from './generated/flotilla/maintenance/v1/maintenance.js';
export * as linkV1 from './generated/flotilla/replication/v1/link.js';
export * as peerV1 from './generated/flotilla/peer/v1/peer.js';
export * as maintenanceV1 from './generated/maintenance/v1/maintenance.js';
export * as statusV1 from './generated/flotilla/replication/v1/status.js';
export * as leasesV1 from './generated/flotilla/tables/v1/leases.js';
export * as shadowV1 from './generated/flotilla/tables/v1/shadow.js';
export * as mvccV1 from './generated/mvcc/v1/mvcc.js';
export * as regattaV1 from './generated/regatta/v1/regatta.js';
export * as replicationV1 from './generated/replication/v1/replication.js';
export * as hot from './hot/index.js';
export { descriptorSet } from './generated/descriptor.js';
export * from './feed-reasons.js';
