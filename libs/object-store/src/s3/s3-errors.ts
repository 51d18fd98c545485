/**
 * What S3, the SDK and the network say, as errors of the port.
 *
 * In: whatever a command threw. Out: an `ObjectStoreError`. Unknown codes go by their HTTP status.
 */
import { ObjectStoreError, type ObjectStoreErrorCode } from '../port/errors.js';

const BY_NAME: Readonly<Record<string, ObjectStoreErrorCode>> = {
  NoSuchKey: 'OBJECT_NOT_FOUND',
  NotFound: 'OBJECT_NOT_FOUND',
  NoSuchUpload: 'UPLOAD_NOT_FOUND',
  NoSuchBucket: 'STORE_INVALID',
  PreconditionFailed: 'OBJECT_CHANGED',
  ConditionalRequestConflict: 'STORE_UNAVAILABLE',
  OperationAborted: 'STORE_UNAVAILABLE',
  // Damaged on the way, and so worth another try: what was sent is still at hand.
  BadDigest: 'STORE_UNAVAILABLE',
  XAmzContentSHA256Mismatch: 'STORE_UNAVAILABLE',
  IncompleteBody: 'STORE_UNAVAILABLE',
  RequestTimeout: 'STORE_UNAVAILABLE',
  SlowDown: 'STORE_UNAVAILABLE',
  RequestTimeTooSkewed: 'STORE_DENIED',
  CredentialsProviderError: 'STORE_DENIED',
  ExpiredToken: 'STORE_DENIED',
  InvalidToken: 'STORE_DENIED',
  NotImplemented: 'STORE_UNSUPPORTED',
  QuotaExceeded: 'STORE_FULL',
  TimeoutError: 'STORE_UNAVAILABLE',
};

const NETWORK: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ERR_STREAM_PREMATURE_CLOSE',
]);

const BY_STATUS: Readonly<Record<number, ObjectStoreErrorCode>> = {
  401: 'STORE_DENIED',
  403: 'STORE_DENIED',
  404: 'OBJECT_NOT_FOUND',
  405: 'STORE_UNSUPPORTED',
  408: 'STORE_UNAVAILABLE',
  409: 'STORE_UNAVAILABLE',
  412: 'OBJECT_CHANGED',
  429: 'STORE_UNAVAILABLE',
  501: 'STORE_UNSUPPORTED',
  507: 'STORE_FULL',
};

export function toS3Error(error: unknown, what: string): ObjectStoreError {
  if (error instanceof ObjectStoreError) return error;
  const { name, message, status, errno } = describeError(error);
  const code = BY_NAME[name] ?? (NETWORK.has(errno) ? 'STORE_UNAVAILABLE' : codeOf(status));
  const told = status === undefined ? '' : ` (HTTP ${status})`;
  return new ObjectStoreError(code, `${what}: ${name}: ${message}${told}`, { cause: error });
}

/** Some servers say so in words alone. */
export function isInvalidRange(error: unknown): boolean {
  const { name, status } = describeError(error);
  return name === 'InvalidRange' || status === 416;
}

function codeOf(status: number | undefined): ObjectStoreErrorCode {
  if (status === undefined) return 'STORE_FAILED';
  if (status >= 500) return BY_STATUS[status] ?? 'STORE_UNAVAILABLE';
  if (status >= 400) return BY_STATUS[status] ?? 'STORE_INVALID';
  // A good status and a body that cannot be read: the answer was cut.
  return 'STORE_UNAVAILABLE';
}

interface Described {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
  readonly errno: string;
}

function describeError(error: unknown): Described {
  if (!(error instanceof Error)) {
    return { name: 'Error', message: String(error), status: undefined, errno: '' };
  }
  const { code, $metadata: metadata } = error as {
    code?: unknown;
    $metadata?: { httpStatusCode?: number };
  };
  const errno = typeof code === 'string' ? code : '';
  return { name: error.name, message: error.message, status: metadata?.httpStatusCode, errno };
}
