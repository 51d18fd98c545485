/**
 * Public face of the version store: the engine port with its adapters, and a table on top of it.
 */
export {
  RANGE_CACHE_BYTES_DEFAULT,
  RANGE_CACHE_BYTES_MAX,
  RangeCache,
  type RangeCacheOptions,
  type RangeCacheStats,
} from './cache/range-cache.js';
export {
  VERSION_CACHE_BYTES_DEFAULT,
  VERSION_CACHE_BYTES_MAX,
  VersionCache,
  type VersionCacheOptions,
  type VersionCacheStats,
} from './cache/version-cache.js';
export * from './engine/engine.js';
export { EngineError, type EngineErrorCode } from './engine/engine-error.js';
export { type LmdbEngineOptions, openLmdbEngine } from './engine/lmdb/lmdb-engine.js';
export { openMemoryEngine } from './engine/memory/memory-engine.js';
export { WriteBehindEngine, type WriteBehindPorts } from './engine/write-behind-engine.js';
export { openRocksEngine, type RocksEngineOptions } from './engine/rocksdb/rocksdb-engine.js';
export { isReadOnlyTxn } from './table/command-apply.js';
export { CHANGED_BYTES_MAX, CHANGED_KEYS_MAX } from './table/changed-keys.js';
export { COMPACT_ROWS_DEFAULT } from './table/compaction.js';
export type { Condition, ConditionOperator, ConditionTest } from './table/condition.js';
export {
  ENTRIES_PER_CHECK,
  entryCheck,
  type EntryMark,
  isOfTerm,
  markOf,
} from './table/entry-check.js';
export { toKeyValue } from './table/operations.js';
export { type PackedQuery } from './table/packed-pages.js';
export { encodedRowBytes } from './table/range-pages.js';
export { faultOfBatch, NOTHING_FILLED, type FillFault } from './table/replayed-commands.js';
export { listTableIds } from './table/slots.js';
export { openStage, type TableStage } from './table/table-stage.js';
export { TableSnapshot, type TableSnapshotChunk } from './table/table-snapshot.js';
export { TableError, type TableErrorCode } from './table/table-error.js';
export {
  BATCH_BYTES_MAX,
  BATCH_ENTRIES_MAX,
  TableStateMachine,
  type TableStateMachineOptions,
} from './table/table-state-machine.js';
export * from './table/table-types.js';
