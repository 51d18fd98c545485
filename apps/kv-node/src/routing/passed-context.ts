/**
 * What a handler may know of a call that another node passed on: its deadline, and that nobody hears
 * of metadata.
 */
import { type CallContext, type ReceivedMetadata } from '@flotilla/grpc';

const NO_METADATA: ReceivedMetadata = {
  get: () => undefined,
  getAll: () => [],
  names: () => [],
};

/** A call that was passed on is answered whether or not anybody still waits. */
const NEVER = new AbortController().signal;

/** `deadline`: milliseconds since the epoch, as calls of clients have it. */
export function passedContext(path: string, deadline: number): CallContext {
  return {
    path,
    peer: 'node',
    deadline,
    metadata: NO_METADATA,
    cancelled: false,
    signal: NEVER,
    setHeader: () => undefined,
    setTrailer: () => undefined,
  };
}
