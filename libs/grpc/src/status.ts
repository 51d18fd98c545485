/**
 * The status codes of gRPC and the error that carries one to the client.
 *
 * In: a code, a text meant for the client's eyes, optional trailing metadata. Out: an error that a
 * handler throws (or a client call rejects with) and that crosses the wire whole.
 *
 * Must never carry a stack or the text of an unexpected error to the other side: what is not a
 * `GrpcStatusError` is turned into one by `toStatusError`, with a fixed text.
 */
import { type MetadataEntries } from './metadata.js';

/** Codes by name, with the numbers that the gRPC protocol gives them. */
export const status = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

export type StatusName = keyof typeof status;
export type StatusCode = (typeof status)[StatusName];

/** Names in the spelling that metrics and logs of gRPC servers use, indexed by code. */
const CODE_LABELS = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
] as const;

/** `14` -> `Unavailable`: the label that dashboards for gRPC servers expect. */
export function statusLabel(code: StatusCode): string {
  return CODE_LABELS[code];
}

/** Narrows a number from the wire; anything outside the table is Unknown, as the protocol says. */
export function toStatusCode(code: number): StatusCode {
  return Number.isInteger(code) && code >= 0 && code < CODE_LABELS.length
    ? (code as StatusCode)
    : status.UNKNOWN;
}

/** An end of a call other than OK. `message` is what the other side reads, word for word. */
export class GrpcStatusError extends Error {
  override readonly name = 'GrpcStatusError';

  constructor(
    readonly code: StatusCode,
    message: string,
    readonly metadata?: MetadataEntries,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** Whether the same call may succeed if simply tried again later. */
  get retryable(): boolean {
    return this.code === status.UNAVAILABLE;
  }
}

/** What the client reads in place of an error that was not meant for it. */
export const INTERNAL_ERROR_TEXT = 'internal error';

/** The error to send for whatever a handler threw. */
export function toStatusError(thrown: unknown): GrpcStatusError {
  if (thrown instanceof GrpcStatusError) {
    return thrown;
  }
  return new GrpcStatusError(status.INTERNAL, INTERNAL_ERROR_TEXT, undefined, { cause: thrown });
}
