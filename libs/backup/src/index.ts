/**
 * Public face of the backup formats and of the logic on top: writing, reading, verifying, restoring.
 */
export * from './backup-error.js';
export * from './bounds.js';
export * from './catalog/backup-catalog.js';
export * from './clock.js';
export { type BackupKey, KeyRing, parseKey } from './format/key-ring.js';
export {
  type BackupKind,
  findTable,
  type Manifest,
  type ManifestTable,
} from './format/manifest.js';
export { checkBackupId } from './format/names.js';
export type { Row, RowRecord } from './format/records.js';
export { BackupObjects, type BackupStore } from './objects/backup-objects.js';
export * from './ports.js';
export { readChain, readersOf } from './read/chain-reader.js';
export * from './read/verify.js';
export * from './restore/restore-table.js';
export * from './retention/prune.js';
export * from './retention/retention.js';
export * from './write/create-backup.js';
export { inParallel } from './write/in-parallel.js';
export type { Written } from './write/table-writer.js';
