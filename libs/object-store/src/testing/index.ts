/** For tests: a store in memory, and what every store has to do. */
export { MemoryStore, type MemoryStoreOptions } from './memory-store.js';
