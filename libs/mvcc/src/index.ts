/**
 * Public face of the version store: the engine port with its adapters, and a table on top of it.
 */
export * from './engine/engine.js';
export { EngineError, type EngineErrorCode } from './engine/engine-error.js';
export * from './table/table-types.js';
export { TableError, type TableErrorCode } from './table/table-error.js';
export type {
  TableStateMachineApi,
  TableStateMachineOptions,
} from './table/table-state-machine.js';
export { openMemoryEngine } from './engine/memory/memory-engine.js';
export { openRocksEngine, type RocksEngineOptions } from './engine/rocksdb/rocksdb-engine.js';
