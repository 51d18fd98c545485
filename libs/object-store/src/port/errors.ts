/**
 * The one error of the object stores.
 *
 * In: what an adapter ran into. Out: a stable code, whether a later try of the same call can
 * succeed, and the cause. It may carry keys, which operators choose; it must never carry what
 * objects hold, nor credentials.
 */

export type ObjectStoreErrorCode =
  /** There is no object of this key. */
  | 'OBJECT_NOT_FOUND'
  /** An object of this key is there already, and was not to be written over. */
  | 'OBJECT_EXISTS'
  /** The object is not the one that the reader began with. */
  | 'OBJECT_CHANGED'
  /** Bytes are not those that were meant: a checksum or a length differs. */
  | 'OBJECT_CORRUPT'
  /** The upload was completed, aborted or cleaned up, or was never begun. */
  | 'UPLOAD_NOT_FOUND'
  /** The store refuses who asks, or what they may do. */
  | 'STORE_DENIED'
  /** The store, or the way to it, is momentarily unable. */
  | 'STORE_UNAVAILABLE'
  /** The call took longer than it was given. */
  | 'STORE_DEADLINE'
  /** The caller gave the call up. */
  | 'STORE_ABORTED'
  /** The store has no room for what was to be written. */
  | 'STORE_FULL'
  /** This store does not offer what was asked for. */
  | 'STORE_UNSUPPORTED'
  /** A key, range, part or setting is not one. */
  | 'STORE_INVALID'
  /** The store was closed before the call. */
  | 'STORE_CLOSED'
  /** Anything that the adapter cannot tell apart. */
  | 'STORE_FAILED';

const RETRYABLE: ReadonlySet<ObjectStoreErrorCode> = new Set([
  'STORE_UNAVAILABLE',
  'STORE_DEADLINE',
]);

export class ObjectStoreError extends Error {
  readonly code: ObjectStoreErrorCode;
  readonly retryable: boolean;

  constructor(code: ObjectStoreErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ObjectStoreError';
    this.code = code;
    this.retryable = RETRYABLE.has(code);
  }
}

export function hasCode(error: unknown, ...codes: ObjectStoreErrorCode[]): boolean {
  return error instanceof ObjectStoreError && codes.includes(error.code);
}
