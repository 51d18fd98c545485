/**
 * Turns what LMDB throws into an `EngineError`.
 *
 * In: anything thrown by a call of the library. Out: the same with a stable code, the original as
 * cause. It must never lose the original message. LMDB's own codes are negative, those of the
 * operating system positive.
 */
import { EngineError, type EngineErrorCode } from '../engine-error.js';

const CODES: ReadonlyMap<number, EngineErrorCode> = new Map([
  [-30797, 'ENGINE_CORRUPTION'], // MDB_PAGE_NOTFOUND
  [-30796, 'ENGINE_CORRUPTION'], // MDB_CORRUPTED
  [-30795, 'ENGINE_IO'], // MDB_PANIC: an earlier write of the file's head failed
  [-30794, 'ENGINE_OPEN_FAILED'], // MDB_VERSION_MISMATCH
  [-30793, 'ENGINE_OPEN_FAILED'], // MDB_INVALID: not a file of LMDB
  [-30790, 'ENGINE_BUSY'], // MDB_READERS_FULL
]);

export function toEngineError(
  cause: unknown,
  doing: string,
  fallback: EngineErrorCode = 'ENGINE_FAILED',
): EngineError {
  if (cause instanceof EngineError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new EngineError(codeOf(cause) ?? fallback, `${doing}: ${message}`, { cause });
}

function codeOf(cause: unknown): EngineErrorCode | undefined {
  if (!(cause instanceof Error && 'code' in cause)) return undefined;
  if (typeof cause.code !== 'number') return undefined;
  return cause.code > 0 ? 'ENGINE_IO' : CODES.get(cause.code);
}
