/** The backups of Regatta and Armada: their folders, and what their streams hold. */
export { BackupError, isBackupError } from '../backup-error.js';
export * from './regatta-folder.js';
export * from './regatta-records.js';
