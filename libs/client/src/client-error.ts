/**
 * Why a call failed, as a user of the client sees it.
 */
import { GrpcStatusError, status, type StatusName } from '@flotilla/grpc';

const NAMES = new Map<number, StatusName>(
  (Object.keys(status) as StatusName[]).map((name) => [status[name], name]),
);

export class ClientError extends Error {
  readonly retryable: boolean;

  constructor(
    /** Name of the gRPC status: `NOT_FOUND`, `UNAVAILABLE`, ... */
    readonly code: StatusName,
    message: string,
    options: { cause?: unknown } = {},
  ) {
    super(message, options);
    this.name = 'ClientError';
    this.retryable = code === 'UNAVAILABLE';
  }
}

/** Anything that was thrown by a call, as a ClientError. */
export function toClientError(error: unknown): ClientError {
  if (error instanceof ClientError) return error;
  if (error instanceof GrpcStatusError) {
    return new ClientError(NAMES.get(error.code) ?? 'UNKNOWN', error.message, { cause: error });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new ClientError('UNKNOWN', message, { cause: error });
}
