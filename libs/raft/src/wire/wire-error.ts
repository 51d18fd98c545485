/** Bytes from another node that are not a frame. The connection they came over is to be closed. */
export const WireErrorCode = {
  /** The bytes end in the middle of something. */
  Truncated: 'truncated',
  /** A number above 2^53 - 1, or one that is too long. */
  Number: 'number',
  /** A field has another type on the wire than it should. */
  Type: 'type',
} as const;
export type WireErrorCode = (typeof WireErrorCode)[keyof typeof WireErrorCode];

export class WireError extends Error {
  override readonly name = 'WireError';
  readonly retryable = false;

  constructor(
    readonly code: WireErrorCode,
    message: string,
  ) {
    super(message);
  }
}
