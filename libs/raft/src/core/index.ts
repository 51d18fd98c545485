/**
 * The public face of the protocol core: make a `RawNode` over a `Storage`, drive it by `Ready`.
 */
export {
  DEFAULT_INFLIGHT_MESSAGES_MAX,
  NO_LIMIT,
  type RaftConfig,
  type ReadOnlyOption,
} from './config.js';
export * from './confchange/types.js';
export { formatConfChange, formatConfChanges, parseConfChanges } from './confchange/format.js';
export {
  describeConfState,
  describeEntries,
  describeEntry,
  describeHardState,
  describeMessage,
  describeReady,
  describeSnapshot,
  describeSoftState,
  describeTarget,
  messageName,
} from './describe.js';
export { ENTRY_OVERHEAD_BYTES, entriesBytes, entryBytes, limitBytes } from './entry-size.js';
export { RaftError, RaftErrorCode, RaftInvariantError } from './errors.js';
export { SILENT_LOGGER, type LazyText, type Logger } from './logger.js';
export { confChangeFromEntry } from './membership.js';
export { MemoryStorage } from './memory-storage.js';
export { RawNode, isLocalTarget, type Peer } from './raw-node.js';
export {
  StateType,
  isEmptyHardState,
  isLocalMessage,
  isResponseMessage,
  type ReadState,
  type Ready,
  type SoftState,
} from './ready.js';
export type { BasicStatus, Status } from './status.js';
export { StorageError, type Storage, type StorageErrorCode } from './storage.js';
export * from './types.js';
