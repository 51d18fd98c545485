/**
 * The one error class of the log store. Codes are stable; callers switch on them.
 */

export type LogStoreErrorCode =
  /** Stored data does not have its checksum, or is missing. An operator has to act. */
  | 'corrupt'
  /** Another process, or another store in this one, has the directory open. */
  | 'locked'
  /** A file operation failed just now; the cause says how. */
  | 'io'
  /** The store failed before and takes nothing any more. */
  | 'failed'
  /** `close()` was called. */
  | 'closed'
  /** Too much is waiting to be written; nothing was taken over. */
  | 'busy'
  /** The caller broke a rule of the interface, such as a gap between entries. */
  | 'invalid'
  /** The files were written by a version of the format this one does not read. */
  | 'unsupported-version';

const RETRYABLE: ReadonlySet<LogStoreErrorCode> = new Set(['locked', 'busy']);

export class LogStoreError extends Error {
  /** Whether the same call can succeed later without anyone repairing anything. */
  readonly retryable: boolean;

  constructor(
    readonly code: LogStoreErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = 'LogStoreError';
    this.retryable = RETRYABLE.has(code);
  }
}
