/**
 * Everything one turn of the loop has for one node, before it is bytes and after.
 */
import type { LogIndex, Message, Term } from '../core/types.js';

export interface PeerFrame {
  readonly messages: readonly { readonly group: number; readonly message: Message }[];
  readonly heartbeat: { readonly sequence: number; readonly draining: boolean } | undefined;
  readonly quiesce: readonly {
    readonly group: number;
    readonly term: Term;
    readonly index: LogIndex;
  }[];
}
