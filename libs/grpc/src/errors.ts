/**
 * The operating errors of this library: what goes wrong around calls rather than in them.
 *
 * In: a stable code and a text for an operator. Out: one class, so that callers test `code`.
 *
 * Must never be used for the end of a call: that is `GrpcStatusError`, which crosses the wire.
 */

/** Stable codes; each names one thing that an operator or a programmer can mend. */
export type GrpcErrorCode =
  /** An address setting does not parse, or asks for what its scheme cannot give. */
  | 'ADDRESS_INVALID'
  /** Certificates, keys or the rules for client certificates do not fit together. */
  | 'TLS_INVALID'
  /** A name or a value cannot be sent as metadata. */
  | 'METADATA_INVALID'
  /** A method path is malformed or taken. */
  | 'METHOD_INVALID'
  /** The socket could not be opened. */
  | 'LISTEN_FAILED'
  /** The server was used after `close`. */
  | 'CLOSED'
  /** The library underneath is not the version whose inside this code was written for. */
  | 'RUNTIME_MISMATCH'
  /** Compressed bytes are damaged. */
  | 'ENCODING_CORRUPT'
  /** Compressed bytes would grow past the limit given. */
  | 'ENCODING_TOO_LARGE';

export class GrpcError extends Error {
  override readonly name = 'GrpcError';

  constructor(
    readonly code: GrpcErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** Only the socket may be free the next time. */
  get retryable(): boolean {
    return this.code === 'LISTEN_FAILED';
  }
}
