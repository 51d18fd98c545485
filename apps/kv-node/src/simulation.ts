/**
 * What a simulation of whole nodes is made of: the node between its storage and its doors, and the
 * ports it stands on.
 */
export { CATALOG_GROUP, FIRST_TABLE_ID } from './catalog/catalog-rows.js';
export { kvNodeSchema, type KvNodeConfig } from './config/kv-node-config.js';
export { drawUuid, sleepOn, type Cancel, type NodeClock } from './node/node-clock.js';
export { type NodeIdentity } from './node/node-identity.js';
export { NodeCore, type NodeCoreParts } from './node-core.js';
export { FrameQueue } from './peers/frame-queue.js';
export {
  helloMetadata,
  readHello,
  refusalError,
  whyRefused,
  type Hello,
  type PeerDirectory,
  type PeerIdentity,
  type Refusal,
} from './peers/hello.js';
export { wasNotExecuted } from './peers/not-executed.js';
export { type LinkCounters, type LinkEvents, type LinkOptions } from './peers/peer-link.js';
export { peerPath, type PeerHandlers } from './peers/peer-server.js';
export { type PeerListener, type PeerTransport, type PeerWay } from './peers/peer-transport.js';
export { type Answer } from './routing/table-router.js';
