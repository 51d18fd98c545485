/**
 * The one error of the engine port.
 *
 * In: what an adapter ran into. Out: a stable code, whether a later try can succeed, and the cause.
 * It must never carry keys or values: they are user data and errors are logged.
 */

export type EngineErrorCode =
  /** The engine, iterator or batch was closed before the call. */
  | 'ENGINE_CLOSED'
  /** Another process, or an engine of this process that was not closed, holds the directory. */
  | 'ENGINE_LOCKED'
  /** Stored data fails its checksum or contradicts itself. */
  | 'ENGINE_CORRUPTION'
  /** The operating system refused to read or write. */
  | 'ENGINE_IO'
  /** The engine cannot be opened with these options or files. */
  | 'ENGINE_OPEN_FAILED'
  /** The engine is momentarily unable and says so. */
  | 'ENGINE_BUSY'
  /** Anything the adapter cannot tell apart. */
  | 'ENGINE_FAILED';

const RETRYABLE: ReadonlySet<EngineErrorCode> = new Set(['ENGINE_LOCKED', 'ENGINE_BUSY']);

export class EngineError extends Error {
  readonly code: EngineErrorCode;
  readonly retryable: boolean;

  constructor(code: EngineErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'EngineError';
    this.code = code;
    this.retryable = RETRYABLE.has(code);
  }
}
