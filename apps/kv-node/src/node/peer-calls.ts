/**
 * Calls to other nodes of the cluster, as those who make them see it.
 */

export interface PeerCallOptions {
  /** How long the call may take; Infinity for a stream that ends when it is not wanted any more. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

export interface PeerCalls {
  /** Rejects with GrpcStatusError, Unavailable and not executed if there is no connection. */
  call(
    nodeId: number,
    path: string,
    request: Uint8Array,
    options: PeerCallOptions,
  ): Promise<Buffer>;
  stream(
    nodeId: number,
    path: string,
    request: Uint8Array,
    options: PeerCallOptions,
  ): AsyncIterable<Buffer>;
}
