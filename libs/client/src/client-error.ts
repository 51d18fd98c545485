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
    /** The server says that nothing was done: trying again cannot do it twice. */
    readonly notExecuted = false,
  ) {
    super(message, options);
    this.name = 'ClientError';
    this.retryable = code === 'UNAVAILABLE';
  }
}

/** Trailer of an answer to a call that certainly changed nothing. */
const NOT_EXECUTED = 'flotilla-not-executed';

/** Anything that was thrown by a call, as a ClientError. */
export function toClientError(error: unknown): ClientError {
  if (error instanceof ClientError) return error;
  if (error instanceof GrpcStatusError) {
    const said = error.metadata?.[NOT_EXECUTED];
    const notExecuted = (Array.isArray(said) ? said[0] : said) === '1';
    const name = NAMES.get(error.code) ?? 'UNKNOWN';
    return new ClientError(name, error.message, { cause: error }, notExecuted);
  }
  const message = error instanceof Error ? error.message : String(error);
  return new ClientError('UNKNOWN', message, { cause: error });
}
