/**
 * Passes a client's call on to the node that can answer it.
 *
 * In: the method, the request's bytes, where to. Out: the answer's bytes and the log index it speaks
 * of. A call is passed on a few times at most; each time its deadline goes with it.
 */
import { peerV1 } from '@flotilla/proto';
import { type PeerCalls } from '../node/peer-calls.js';
import { peerPath } from '../peers/peer-server.js';

/** How often a call is passed on: to somebody who may know better, and from there once more. */
export const HOPS_MAX = 3;

const CALL = peerPath('Call');
const CALL_STREAM = peerPath('CallStream');

/** A call as it is passed on. */
export interface Passed {
  readonly method: string;
  readonly request: Uint8Array;
  readonly hops: number;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

export class Forwarder {
  constructor(private readonly peers: PeerCalls) {}

  /** Rejects with GrpcStatusError, as the other node or the way to it gave it. */
  async call(node: number, passed: Passed): Promise<peerV1.ForwardedAnswer> {
    const bytes = await this.peers.call(node, CALL, encode(passed), passed);
    return peerV1.ForwardedAnswer.decode(bytes);
  }

  async *stream(node: number, passed: Passed): AsyncGenerator<Buffer, void, undefined> {
    for await (const bytes of this.peers.stream(node, CALL_STREAM, encode(passed), passed)) {
      yield peerV1.ForwardedAnswer.decode(bytes).answer;
    }
  }
}

function encode({ method, request, hops }: Passed): Uint8Array {
  const bytes = Buffer.from(request.buffer, request.byteOffset, request.length);
  return peerV1.ForwardedCall.encode({ method, request: bytes, hops: hops + 1 }).finish();
}
