/** Fakes for tests of whatever makes backups. */
export * from './fake-clock.js';
export * from './fake-cluster.js';
export * from './fake-shadow.js';
export * from './fake-table.js';
