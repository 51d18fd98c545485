/**
 * Why a call failed, as a user of the client sees it, and whether it certainly changed nothing.
 *
 * In: whatever a call threw. Out: one class with the name of the status.
 *
 * Must never take a server's words for the client's own: a text that speaks of a lost connection may
 * tell of one behind the server, long after the write was done.
 */
import { GrpcError, GrpcStatusError, status, type StatusName } from '@flotilla/grpc';

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
    /** Nothing was done: it was never sent, or the server says so. Again cannot be twice. */
    readonly notExecuted = false,
  ) {
    super(message, options);
    this.name = 'ClientError';
    this.retryable = code === 'UNAVAILABLE';
  }
}

/** Trailer of an answer to a call that certainly changed nothing. */
const NOT_EXECUTED = 'flotilla-not-executed';
/** What a channel says of a call that it had no connection for. */
const NEVER_SENT = /^(No connection established|Name resolution failed)/;

/**
 * Anything that was thrown by a call, as a ClientError.
 *
 * @param wasHeard whether the server had begun to answer, which its metadata need not show
 */
export function toClientError(error: unknown, wasHeard = false): ClientError {
  if (error instanceof ClientError) return error;
  if (error instanceof GrpcStatusError) {
    const name = NAMES.get(error.code) ?? 'UNKNOWN';
    const notExecuted = saysNotExecuted(error) || (!wasHeard && wasNeverSent(error));
    return new ClientError(name, error.message, { cause: error }, notExecuted);
  }
  if (error instanceof GrpcError && error.code === 'CLOSED') {
    return new ClientError('CANCELLED', 'the client is closed', { cause: error }, true);
  }
  const message = error instanceof Error ? error.message : String(error);
  return new ClientError('UNKNOWN', message, { cause: error });
}

/** Whether the end of a call came with anything that only a server sends. */
export function isAnswer(error: GrpcStatusError): boolean {
  // An answer that is nothing but a status has a content type at least; what ends here has nothing.
  return Object.keys(error.metadata ?? {}).length > 0;
}

function saysNotExecuted({ metadata }: GrpcStatusError): boolean {
  const said = metadata?.[NOT_EXECUTED];
  return (Array.isArray(said) ? said[0] : said) === '1';
}

function wasNeverSent(error: GrpcStatusError): boolean {
  return error.code === status.UNAVAILABLE && !isAnswer(error) && NEVER_SENT.test(error.message);
}
