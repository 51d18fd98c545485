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
export { type LogTable } from './format/log-table.js';
export { checkBackupId } from './format/names.js';
export type { Row, RowRecord } from './format/records.js';
export { BackupObjects, type BackupStore } from './objects/backup-objects.js';
export * from './log/log-catalog.js';
export * from './log/log-coverage.js';
export { type ListedLog, listLogs } from './log/log-listing.js';
export { type LogRange, readLog } from './log/log-reader.js';
export * from './log/log-shipper.js';
export { LogWriter } from './log/log-writer.js';
export * from './log/point-plan.js';
export { pointSources } from './log/point-sources.js';
export * from './log/table-histories.js';
export { type ShipEvent, type TableShipper } from './log/table-shipper.js';
export { type LogDecision } from './log/prune-logs.js';
export { raiseFence, type RunFence, type Runner } from './objects/run-fence.js';
export * from './ports.js';
export { readChain, readersOf } from './read/chain-reader.js';
export { type Problem, PROBLEMS_MAX } from './read/findings.js';
export * from './read/verify.js';
export * from './restore/restore-table.js';
export * from './retention/prune.js';
export * from './retention/retention.js';
export * from './write/create-backup.js';
export { inParallel } from './write/in-parallel.js';
export type { Written } from './write/table-writer.js';
