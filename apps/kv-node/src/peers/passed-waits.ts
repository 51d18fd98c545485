/**
 * Calls that were passed on to other nodes and not answered yet.
 *
 * In: calls with their deadlines, answers, nodes that are lost, ticks. Out: each call's promise,
 * settled exactly once. Ids begin where chance says: an answer to what this node asked before it
 * restarted is an answer to nothing it asks now. Bounded by `PASSED_CALLS_MAX`; deadlines are looked at once a tick.
 */
import { GrpcStatusError, status, toStatusCode } from '@flotilla/grpc';
import { type PassedAnswer } from '@flotilla/raft';
import { NOT_EXECUTED } from './not-executed.js';

/** Calls that may wait for other nodes at a time. */
export const PASSED_CALLS_MAX = 65_536;
/** Ids begin somewhere below; as many as a process can use follow before they are unsafe. */
const FIRST_ID_LIMIT = 2 ** 48;

interface Waiting {
  readonly node: number;
  readonly deadlineMs: number;
  readonly resolve: (answer: PassedAnswer) => void;
  readonly reject: (error: GrpcStatusError) => void;
}

export class PassedWaits {
  private readonly waiting = new Map<number, Waiting>();
  private lastId: number;

  constructor(random: () => number) {
    this.lastId = Math.floor(random() * FIRST_ID_LIMIT);
  }

  /** Sends by `send`, which gets the id of the call and says whether it could leave. */
  ask(node: number, deadlineMs: number, send: (id: number) => boolean): Promise<PassedAnswer> {
    if (this.waiting.size >= PASSED_CALLS_MAX) {
      return Promise.reject(notSent('system is too busy try again later'));
    }
    const id = ++this.lastId;
    if (!send(id)) return Promise.reject(notSent(`node ${node} cannot be reached`));
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { node, deadlineMs, resolve, reject });
    });
  }

  /** An answer that nobody waits for any more is dropped. */
  answered(from: number, answer: PassedAnswer): void {
    const waiting = this.waiting.get(answer.id);
    if (waiting?.node !== from) return;
    this.waiting.delete(answer.id);
    if (answer.code === status.OK) waiting.resolve(answer);
    else {
      const metadata = answer.notExecuted ? { [NOT_EXECUTED]: '1' } : undefined;
      const code = toStatusCode(answer.code);
      waiting.reject(new GrpcStatusError(code, answer.message, metadata));
    }
  }

  expire(nowMs: number): void {
    for (const [id, { deadlineMs, reject }] of this.waiting) {
      if (deadlineMs > nowMs) continue;
      this.waiting.delete(id);
      reject(new GrpcStatusError(status.UNAVAILABLE, 'timeout'));
    }
  }

  /** What the node was asked may have happened, or not: nobody will say. */
  lost(node: number): void {
    for (const [id, waiting] of this.waiting) {
      if (waiting.node !== node) continue;
      this.waiting.delete(id);
      const text = `node ${node} was lost while it worked on the call`;
      waiting.reject(new GrpcStatusError(status.UNAVAILABLE, text));
    }
  }
}

function notSent(text: string): GrpcStatusError {
  return new GrpcStatusError(status.UNAVAILABLE, text, { [NOT_EXECUTED]: '1' });
}
