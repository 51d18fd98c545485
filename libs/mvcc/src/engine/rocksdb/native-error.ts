/**
 * Turns what the native layer throws into an `EngineError`.
 *
 * In: anything thrown by a binding call. Out: the same with a stable code, the original as cause.
 * It must never lose the original message: RocksDB says there which file is damaged.
 */
import { EngineError, type EngineErrorCode } from '../engine-error.js';

const CODES: Readonly<Record<string, EngineErrorCode>> = {
  LEVEL_LOCKED: 'ENGINE_LOCKED',
  LEVEL_CORRUPTION: 'ENGINE_CORRUPTION',
  LEVEL_IO_ERROR: 'ENGINE_IO',
  LEVEL_TRYAGAIN: 'ENGINE_BUSY',
};

export function toEngineError(
  cause: unknown,
  doing: string,
  fallback: EngineErrorCode = 'ENGINE_FAILED',
): EngineError {
  if (cause instanceof EngineError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  const nativeCode =
    cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
  return new EngineError(CODES[nativeCode] ?? fallback, `${doing}: ${message}`, { cause });
}
