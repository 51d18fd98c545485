/**
 * What the end of a call means where no `grpc-status` says so: codes of HTTP, of RST_STREAM, and the
 * ends that the client itself makes. Texts are those of grpc-js, which users of it may know.
 */
import { ErrorCode } from '../http2/constants.js';
import { type ReceivedMetadata } from '../metadata.js';
import { GrpcStatusError, status, type StatusCode } from '../status.js';

const BY_HTTP_STATUS: ReadonlyMap<number, StatusCode> = new Map([
  [400, status.INTERNAL],
  [401, status.UNAUTHENTICATED],
  [403, status.PERMISSION_DENIED],
  [404, status.UNIMPLEMENTED],
  [429, status.UNAVAILABLE],
  [502, status.UNAVAILABLE],
  [503, status.UNAVAILABLE],
  [504, status.UNAVAILABLE],
]);

/** An answer of HTTP without `grpc-status`, by gRPC's table of them. */
export function httpStatusError(httpStatus: number, metadata: ReceivedMetadata): GrpcStatusError {
  const code = BY_HTTP_STATUS.get(httpStatus) ?? status.UNKNOWN;
  return new GrpcStatusError(code, `Received HTTP status code ${httpStatus}`, entriesOf(metadata));
}

/** All that are not here are INTERNAL. */
const BY_RESET: ReadonlyMap<number, StatusCode> = new Map([
  // A server that is killed ends its streams so: nobody answered, which is no fault inside of anything.
  [ErrorCode.NoError, status.UNAVAILABLE],
  [ErrorCode.RefusedStream, status.UNAVAILABLE],
  [ErrorCode.Cancel, status.CANCELLED],
  [ErrorCode.EnhanceYourCalm, status.RESOURCE_EXHAUSTED],
  [ErrorCode.InadequateSecurity, status.PERMISSION_DENIED],
]);

const RESET_NAMES = new Map<number, string>(
  Object.entries(ErrorCode).map(([name, code]) => [code, name]),
);

/** A stream that the server cut before it said a status. */
export function resetError(code: number): GrpcStatusError {
  const text = `Received RST_STREAM with code ${code} (${RESET_NAMES.get(code) ?? 'unknown'})`;
  return new GrpcStatusError(BY_RESET.get(code) ?? status.INTERNAL, text);
}

export function connectionLost(cause: Error | undefined): GrpcStatusError {
  const why = cause === undefined ? '' : `: ${cause.message}`;
  const text = `Connection dropped${why}`;
  return new GrpcStatusError(status.UNAVAILABLE, text, undefined, cause && { cause });
}

/** The call never left. Users rely on the first words, which say that nothing was done. */
export function noConnection(cause: Error | undefined): GrpcStatusError {
  const why = cause === undefined ? '' : ` Last error: ${cause.message}`;
  const text = `No connection established.${why}`;
  return new GrpcStatusError(status.UNAVAILABLE, text, undefined, cause && { cause });
}

export function deadlineExceeded(deadlineMs: number): GrpcStatusError {
  const text = `Deadline exceeded after ${(deadlineMs / 1000).toFixed(3)}s`;
  return new GrpcStatusError(status.DEADLINE_EXCEEDED, text);
}

export function cancelled(): GrpcStatusError {
  return new GrpcStatusError(status.CANCELLED, 'Cancelled on client');
}

export function entriesOf(metadata: ReceivedMetadata): Record<string, (string | Buffer)[]> {
  return Object.fromEntries(metadata.names().map((name) => [name, [...metadata.getAll(name)]]));
}

const PERCENT = 0x25;

/** `grpc-message` as text. What is not encoded as it should be stays as it is. */
export function decodeStatusMessage(encoded: string): string {
  if (!encoded.includes('%')) return encoded;
  const bytes = Buffer.from(encoded, 'latin1');
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    const digits = byte === PERCENT ? bytes.toString('latin1', at + 1, at + 3) : '';
    const isEncoded = /^[0-9a-fA-F]{2}$/.test(digits);
    bytes[length++] = isEncoded ? Number.parseInt(digits, 16) : byte;
    if (isEncoded) at += 2;
  }
  return bytes.toString('utf8', 0, length);
}
