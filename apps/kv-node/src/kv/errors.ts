/**
 * The one table from what can go wrong below the API to what a client is told.
 *
 * Retryable troubles of a group are Unavailable with the texts that clients of Regatta retry on;
 * everything else a storage says is FailedPrecondition.
 */
import { GrpcStatusError, status, type StatusCode } from '@flotilla/grpc';
import { HostError, HostErrorCode } from '@flotilla/raft';
import { NOT_EXECUTED } from '../peers/not-executed.js';

const CODES: Readonly<Record<HostErrorCode, StatusCode>> = {
  [HostErrorCode.GroupNotFound]: status.FAILED_PRECONDITION,
  [HostErrorCode.TooLarge]: status.FAILED_PRECONDITION,
  [HostErrorCode.GroupClosed]: status.UNAVAILABLE,
  [HostErrorCode.NotReady]: status.UNAVAILABLE,
  [HostErrorCode.Busy]: status.UNAVAILABLE,
  [HostErrorCode.Timeout]: status.UNAVAILABLE,
  [HostErrorCode.Aborted]: status.UNAVAILABLE,
  [HostErrorCode.Closed]: status.UNAVAILABLE,
};

/** What was refused before anything was written: trying again cannot do it twice. */
const NOTHING_DONE: ReadonlySet<HostErrorCode> = new Set([
  HostErrorCode.GroupNotFound,
  HostErrorCode.TooLarge,
  HostErrorCode.NotReady,
  HostErrorCode.Busy,
]);

/** The status for an error of the storage; a broken invariant stays what it is. */
export function toStatus(error: unknown): unknown {
  if (!(error instanceof HostError)) return error;
  const metadata = NOTHING_DONE.has(error.code) ? { [NOT_EXECUTED]: '1' } : undefined;
  return new GrpcStatusError(CODES[error.code], error.message, metadata, { cause: error });
}

/** The outcome, or the status for what went wrong on the way to it. */
export async function withStatus<T>(outcome: Promise<T>): Promise<T> {
  try {
    return await outcome;
  } catch (error) {
    throw toStatus(error);
  }
}

/** A request that can never be granted; the text names the field. */
export function invalid(message: string): GrpcStatusError {
  return new GrpcStatusError(status.INVALID_ARGUMENT, message);
}

/** No replica that could answer was found in time. */
export function notReady(cause?: unknown): GrpcStatusError {
  const text = 'request dropped as the shard is not ready';
  return new GrpcStatusError(status.UNAVAILABLE, text, { [NOT_EXECUTED]: '1' }, { cause });
}

/** As many as may wait do. */
export function busy(): GrpcStatusError {
  const text = 'system is too busy try again later';
  return new GrpcStatusError(status.UNAVAILABLE, text, { [NOT_EXECUTED]: '1' });
}

export function tableNotFound(): GrpcStatusError {
  return new GrpcStatusError(status.NOT_FOUND, 'table not found');
}

export function malformed(error: unknown): GrpcStatusError {
  const reason = error instanceof Error ? error.message : String(error);
  return new GrpcStatusError(
    status.INTERNAL,
    `grpc: error unmarshalling request: ${reason}`,
    undefined,
    { cause: error },
  );
}

export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
