/**
 * What the operating system says, as errors of the port.
 *
 * In: whatever a file operation threw. Out: an `ObjectStoreError` with the code that callers act
 * upon; what is one already passes unchanged.
 */
import { ObjectStoreError, type ObjectStoreErrorCode } from '../port/errors.js';

const CODES: Readonly<Record<string, ObjectStoreErrorCode>> = {
  EACCES: 'STORE_DENIED',
  EPERM: 'STORE_DENIED',
  EROFS: 'STORE_DENIED',
  ENOSPC: 'STORE_FULL',
  EDQUOT: 'STORE_FULL',
  EFBIG: 'STORE_FULL',
  EMFILE: 'STORE_UNAVAILABLE',
  ENFILE: 'STORE_UNAVAILABLE',
  EAGAIN: 'STORE_UNAVAILABLE',
  EBUSY: 'STORE_UNAVAILABLE',
  ESTALE: 'STORE_UNAVAILABLE',
  ETIMEDOUT: 'STORE_UNAVAILABLE',
};

export function isErrno(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

export function toStoreError(error: unknown, what: string): ObjectStoreError {
  if (error instanceof ObjectStoreError) return error;
  const errno = error instanceof Error && 'code' in error ? String(error.code) : '';
  const text = error instanceof Error ? error.message : String(error);
  return new ObjectStoreError(CODES[errno] ?? 'STORE_FAILED', `${what}: ${text}`, { cause: error });
}
