/**
 * The one error of backups.
 *
 * In: what went wrong. Out: a stable code, whether trying again may help, the cause. Names objects,
 * tables and chunks; must never carry keys of rows, values or secrets.
 */

export type BackupErrorCode =
  /** There is no such backup, or it was never finished. */
  | 'BACKUP_NOT_FOUND'
  /** What was read is not what was written; the message names the object. */
  | 'BACKUP_DAMAGED'
  /** Written by a newer program, or with a key that is not known here. */
  | 'BACKUP_UNREADABLE'
  /** The revision that was asked for lies outside of what was kept. */
  | 'REVISION_GONE'
  /** A table is not there, or has another history than before. */
  | 'TABLE_CHANGED'
  /** Another run works on it. */
  | 'RUN_BUSY'
  /** Another runner took the lease over that this run was made under. */
  | 'RUN_FENCED'
  /** A request that makes no sense; the message names the field. */
  | 'INVALID'
  /** A source ended before it was complete: to be read again. */
  | 'SOURCE_CUT'
  /** A bound of this library was reached. */
  | 'LIMIT';

const RETRYABLE: ReadonlySet<BackupErrorCode> = new Set(['SOURCE_CUT', 'RUN_BUSY']);

export class BackupError extends Error {
  override readonly name = 'BackupError';
  readonly retryable: boolean;

  constructor(
    readonly code: BackupErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.retryable = RETRYABLE.has(code);
  }
}

export function isBackupError(error: unknown, ...codes: BackupErrorCode[]): error is BackupError {
  return error instanceof BackupError && (codes.length === 0 || codes.includes(error.code));
}

/** What is wrong with an object, with its name in front. */
export function damaged(object: string, what: string, cause?: unknown): BackupError {
  return new BackupError('BACKUP_DAMAGED', `${object}: ${what}`, { cause });
}
