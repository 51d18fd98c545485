/**
 * What the nodes say went wrong: whether a call certainly did nothing, and what of it callers are told.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { FEED_REASON, feedReasonOf } from '@flotilla/proto';

/** Trailer of an answer to a call that certainly changed nothing. */
const NOT_EXECUTED = 'flotilla-not-executed';
/** What a client says of a call that it had no connection for. */
const NEVER_SENT = /^(No connection established|Name resolution failed)/;

/** Whether the call certainly changed nothing: only then may a write be made again. */
export function wasNotExecuted(error: unknown): boolean {
  if (!(error instanceof GrpcStatusError) || error.code !== status.UNAVAILABLE) return false;
  if (saysNotExecuted(error)) return true;
  // Everything that a server answers has metadata; a text alone may speak of a loss behind it.
  const isAnswer = Object.keys(error.metadata ?? {}).length > 0;
  return !isAnswer && NEVER_SENT.test(error.message);
}

/** The same end for the caller: code and text, without what belongs to the connection to the node. */
export function passedOn(error: unknown): unknown {
  if (!(error instanceof GrpcStatusError)) return error;
  const reason = feedReasonOf(error.metadata);
  const metadata = {
    ...(saysNotExecuted(error) && { [NOT_EXECUTED]: '1' }),
    ...(reason !== undefined && { [FEED_REASON]: reason }),
  };
  return new GrpcStatusError(error.code, error.message, metadata, { cause: error });
}

function saysNotExecuted({ metadata }: GrpcStatusError): boolean {
  const said = metadata?.[NOT_EXECUTED];
  return (Array.isArray(said) ? said[0] : said) === '1';
}
