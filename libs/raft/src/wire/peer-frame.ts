/**
 * Everything one turn of the loop has for one node, before it is bytes and after.
 */
import type { LogIndex, Message, Term } from '../core/types.js';

/** A call that another node is to answer. */
export interface PassedCall {
  readonly id: number;
  readonly method: string;
  readonly request: Uint8Array;
  readonly hops: number;
  readonly timeoutMs: number;
}

/** The answer to it: bytes, or a gRPC status. */
export interface PassedAnswer {
  readonly id: number;
  readonly answer: Uint8Array;
  readonly index: number;
  readonly code: number;
  readonly message: string;
  readonly notExecuted: boolean;
}

export interface PeerFrame {
  readonly messages: readonly { readonly group: number; readonly message: Message }[];
  readonly heartbeat: { readonly sequence: number; readonly draining: boolean } | undefined;
  readonly quiesce: readonly {
    readonly group: number;
    readonly term: Term;
    readonly index: LogIndex;
  }[];
  readonly calls: readonly PassedCall[];
  readonly answers: readonly PassedAnswer[];
}
