/**
 * Frames and calls between simulated nodes: the transport that a node gets in place of gRPC.
 *
 *   SimWay --hello--> SimListener          checked by both sides, as over gRPC
 *      frame: encoded, carried, decoded; then each message of the protocol on its own, so that it is
 *             lost, comes twice or late; calls and answers come once, in order, or not at all
 *
 * A connection ends when a process dies and its machine lives, when chance resets it, and when one
 * of its directions has been dead for a while.
 */
import { type PeerTransport } from '@flotilla/kv-node/simulation';
import { type TransportParts } from './sim-connection.js';
import { SimListener } from './sim-listener.js';
import { SimWay } from './sim-way.js';

/** The transport of one process. */
export function simTransport(
  parts: TransportParts,
): PeerTransport & { end(silently: boolean): void } {
  const ways: SimWay[] = [];
  let listener: SimListener | undefined;
  return {
    connect: (options, own, directory, events, counters) => {
      const way = new SimWay(parts, options, own, directory, events, counters);
      ways.push(way);
      return way;
    },
    listener: (own, directory, handlers) => {
      listener = new SimListener(parts, own, directory, handlers);
      return listener;
    },
    end: (silently) => {
      for (const way of ways) way.processEnded(silently);
      listener?.processEnded(silently);
    },
  };
}
