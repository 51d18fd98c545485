/**
 * Reads that wait for proof that this leader still leads.
 *
 *   request -> remember (commit index, request) -> heartbeats carry its context -> a quorum answers
 *           -> it and every older request are answered with the index remembered for each
 *
 * Holds only what a leader has to hold between the request and the quorum; a change of role
 * throws it away. Knows nothing of who gets the answer.
 */
import type { ReadOnlyOption } from './config.js';
import { RaftInvariantError } from './errors.js';
import type { LogIndex, Message, NodeId } from './types.js';

/** Read requests that wait at a leader at one time; more are dropped and have to be repeated. */
export const PENDING_READS_MAX = 65_536;

export interface PendingRead {
  readonly request: Message;
  /** Commit index when the request came. */
  readonly index: LogIndex;
  readonly context: Uint8Array;
  readonly acks: Map<NodeId, boolean>;
}

export class ReadOnly {
  /** In the order of arrival; the key is the request's context. */
  private readonly pending = new Map<string, PendingRead>();
  private newest: PendingRead | undefined = undefined;

  constructor(readonly option: ReadOnlyOption) {}

  /** False when there are too many already. A request that is known is not added again. */
  add(request: Message, index: LogIndex): boolean {
    const context = readContext(request);
    const key = keyOf(context);
    if (this.pending.has(key)) return true;
    if (this.pending.size >= PENDING_READS_MAX) return false;
    this.newest = { request, index, context, acks: new Map() };
    this.pending.set(key, this.newest);
    return true;
  }

  /** Notes that `id` answered; returns all who did, or undefined if nobody waits for it. */
  acknowledge(id: NodeId, context: Uint8Array): ReadonlyMap<NodeId, boolean> | undefined {
    const read = this.pending.get(keyOf(context));
    read?.acks.set(id, true);
    return read?.acks;
  }

  /** Takes out the request with `context` and all that are older, oldest first. */
  advance(context: Uint8Array): PendingRead[] {
    const key = keyOf(context);
    if (!this.pending.has(key)) return [];
    const done: PendingRead[] = [];
    for (const [at, read] of this.pending) {
      done.push(read);
      this.pending.delete(at);
      if (at === key) break;
    }
    if (this.pending.size === 0) this.newest = undefined;
    return done;
  }

  /** What the next heartbeat has to carry so that waiting reads can be answered. */
  lastPendingContext(): Uint8Array | undefined {
    return this.newest?.context;
  }
}

/** The bytes that identify a read request. */
export function readContext(request: Message): Uint8Array {
  const entry = request.entries[0];
  if (entry === undefined) throw new RaftInvariantError('a read request without a context');
  return entry.data;
}

function keyOf(context: Uint8Array): string {
  let key = '';
  for (const byte of context) key += String.fromCharCode(byte);
  return key;
}
