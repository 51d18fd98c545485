/**
 * What the objects of a backup are called.
 *
 *   backups/<backup>/manifest.json                            the commit mark, written last
 *   backups/<backup>/begun-<attempt>.json                     who writes, and what
 *   backups/<backup>/<table>/<attempt>-<number>.chunk
 *   backups/<backup>/<table>/<attempt>-<number>.segment       tells of up to 64 chunks
 *   runners/<cluster>/<token>.json                            who runs the schedule, newest last
 *
 * Every attempt has names of its own: one that was given up and lives on writes over nothing.
 */
import { BackupError } from '../backup-error.js';
import { sha256Of } from './chunk-codec.js';

export const BACKUPS_FOLDER = 'backups/';
const ID = /^\d{8}T\d{9}Z-[0-9a-f]{8}$/;
const ATTEMPT = /^[0-9a-f]{8}$/;

/** `20261121T174700123Z-1a2b3c4d`: by these, backups are in the order of their beginning. */
export function makeBackupId(wallMs: number, unique: Buffer): string {
  const stamp = new Date(wallMs).toISOString().replace(/[-:.]/g, '');
  return `${stamp}-${unique.subarray(0, 4).toString('hex')}`;
}

export function isBackupId(text: string): boolean {
  return ID.test(text);
}

/** At the door: an id is part of the names of objects. */
export function checkBackupId(text: string): string {
  if (isBackupId(text)) return text;
  throw new BackupError('INVALID', `backup: ${JSON.stringify(text.slice(0, 80))} is no id of one`);
}

export function isAttempt(text: string): boolean {
  return ATTEMPT.test(text);
}

export function backupFolder(backup: string): string {
  return `${BACKUPS_FOLDER}${backup}/`;
}

export function manifestName(backup: string): string {
  return `${backupFolder(backup)}manifest.json`;
}

export function begunName(backup: string, attempt: string): string {
  return `${backupFolder(backup)}begun-${attempt}.json`;
}

export function tableFolder(backup: string, table: number): string {
  return `${backupFolder(backup)}${table}/`;
}

export function chunkName(backup: string, table: number, attempt: string, chunk: number): string {
  return `${tableFolder(backup, table)}${attempt}-${padded(chunk)}.chunk`;
}

export function segmentName(
  backup: string,
  table: number,
  attempt: string,
  segment: number,
): string {
  return `${tableFolder(backup, table)}${attempt}-${padded(segment)}${SEGMENT_ENDING}`;
}

export const SEGMENT_ENDING = '.segment';

/** Ids of clusters may hold anything, and leases are counted cluster by cluster. */
export function fenceFolder(clusterId: string): string {
  return `runners/${sha256Of(clusterId).slice(0, 16)}/`;
}

export function fenceName(clusterId: string, token: number): string {
  return `${fenceFolder(clusterId)}${padded(token, 20)}.json`;
}

function padded(number: number, digits = 8): string {
  return String(number).padStart(digits, '0');
}
