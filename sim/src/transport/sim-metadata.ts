/** Metadata of simulated calls, read as if it had come over the wire. */
import { type CallContext, type ReceivedMetadata } from '@flotilla/grpc';
import {
  helloMetadata,
  readHello,
  type Hello,
  type PeerIdentity,
} from '@flotilla/kv-node/simulation';

/** What a process says of itself, as the other side reads it. */
export function helloOf(own: PeerIdentity, to: number): Hello {
  const hello = readHello(receivedMetadata(helloMetadata(own, to)));
  if (!hello) throw new Error('a hello cannot be read by its own side');
  return hello;
}

export function receivedMetadata(entries: Readonly<Record<string, unknown>>): ReceivedMetadata {
  const get = (name: string): string | undefined => {
    const value = entries[name];
    return typeof value === 'string' ? value : undefined;
  };
  return {
    get,
    getAll: (name) => [get(name)].filter((value) => value !== undefined),
    names: () => Object.keys(entries),
  };
}

const NEVER = new AbortController().signal;

/** A call as a handler sees it when nobody leaves and nobody sends metadata. */
export function noContext(path: string, deadline?: number): CallContext {
  return {
    path,
    peer: 'simulation',
    deadline,
    metadata: receivedMetadata({}),
    cancelled: false,
    signal: NEVER,
    setHeader: () => undefined,
    setTrailer: () => undefined,
  };
}
