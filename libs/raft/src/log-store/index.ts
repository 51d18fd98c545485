/** The durable Raft log: one segmented file set per node, shared by all its groups. */
export { LogStoreError, type LogStoreErrorCode } from './errors.js';
export type { DirectoryLock, LogFile, LogFiles, SyncPlace } from './files.js';
export { openLogStore } from './open.js';
export type {
  GroupId,
  GroupLog,
  LogBatch,
  LogStore,
  LogStoreOptions,
  LogStoreStats,
  RecoveryReport,
  WriteOptions,
} from './types.js';
