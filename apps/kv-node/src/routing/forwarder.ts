/**
 * Passes a client's call on to the node that can answer it.
 *
 * In: the method, the request's bytes, where to. Out: the answer's bytes and the log index it speaks
 * of. A call leaves with the next frame, and its answer comes with one; a stream has a call of its
 * own. Each time a call is passed on its deadline goes with it, and it is passed on a few times at most.
 */
import { peerV1 } from '@flotilla/proto';
import { type PassedAnswer } from '@flotilla/raft';
import { type NodeRuntime } from '../node/node-runtime.js';
import { type PeerNetwork } from '../peers/peer-network.js';
import { peerPath } from '../peers/peer-server.js';

/** How often a call is passed on: to somebody who may know better, and from there once more. */
export const HOPS_MAX = 3;

const CALL_STREAM = peerPath('CallStream');

/** A call as it is passed on. */
export interface Passed {
  readonly method: string;
  readonly request: Uint8Array;
  /** How often it was passed on before. */
  readonly hops: number;
  /** On the clock of the host. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

export class Forwarder {
  constructor(
    private readonly runtime: NodeRuntime,
    private readonly network: PeerNetwork,
  ) {}

  /** Rejects with GrpcStatusError, as the other node or the way to it gave it. */
  call(node: number, { method, request, hops, deadlineMs }: Passed): Promise<PassedAnswer> {
    const timeoutMs = Math.ceil(this.runtime.remainingMs(deadlineMs));
    return this.network.pass(node, { method, request, hops: hops + 1 }, timeoutMs, deadlineMs);
  }

  async *stream(node: number, passed: Passed): AsyncGenerator<Buffer, void, undefined> {
    const { method, request, hops, deadlineMs, signal } = passed;
    const bytes = Buffer.from(request.buffer, request.byteOffset, request.length);
    const call = { method, request: bytes, hops: hops + 1 };
    const options = {
      deadlineMs: Math.ceil(this.runtime.remainingMs(deadlineMs)),
      ...(signal && { signal }),
    };
    const encoded = peerV1.ForwardedCall.encode(call).finish();
    for await (const answer of this.network.stream(node, CALL_STREAM, encoded, options)) {
      yield peerV1.ForwardedAnswer.decode(answer).answer;
    }
  }
}
