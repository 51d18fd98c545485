/**
 * Proposals of one group that wait for their entry to be applied, in the order of their indexes.
 *
 * In: a proposal at the moment its entry got an index; applied entries; the time. Out: each
 * proposal's promise, settled exactly once. A proposal whose deadline passed is told so, while its
 * place stays until its entry is applied or replaced. Bounded by `proposalsMax`.
 */
import type { LogIndex, Term } from '../core/types.js';
import { HostError, HostErrorCode } from './host-error.js';
import type { ProposalOutcome } from './ports.js';

interface Waiting<Result> {
  readonly index: LogIndex;
  readonly term: Term;
  readonly deadlineMs: number;
  readonly resolve: (outcome: ProposalOutcome<Result>) => void;
  readonly reject: (error: HostError) => void;
  settled: boolean;
}

/** How many settled places may gather at the front before the array is cut. */
const HEAD_SLACK = 1024;

export class Proposals<Result> {
  private queue: Waiting<Result>[] = [];
  private head = 0;
  private earliestDeadlineMs = Infinity;

  constructor(private readonly proposalsMax: number) {}

  get size(): number {
    return this.queue.length - this.head;
  }

  get isFull(): boolean {
    return this.size >= this.proposalsMax;
  }

  /** Waits for the entry (`index`, `term`). A later index must not be waited for already. */
  wait(index: LogIndex, term: Term, deadlineMs: number): Promise<ProposalOutcome<Result>> {
    this.dropFrom(index);
    if (deadlineMs < this.earliestDeadlineMs) this.earliestDeadlineMs = deadlineMs;
    return new Promise((resolve, reject) => {
      this.queue.push({ index, term, deadlineMs, resolve, reject, settled: false });
    });
  }

  /** The entry (`index`, `term`) was applied: its proposal, if any waits, has its result. */
  applied(index: LogIndex, term: Term, result: Result): void {
    let first = this.queue[this.head];
    while (first && first.index < index) {
      this.fail(first, HostErrorCode.Aborted, 'request aborted');
      first = this.queue[++this.head];
    }
    if (first?.index === index) {
      this.head++;
      if (first.term !== term) this.fail(first, HostErrorCode.Aborted, 'request aborted');
      else if (!first.settled) {
        first.settled = true;
        first.resolve({ result, index, term });
      }
    }
    if (this.head > HEAD_SLACK && this.head * 2 > this.queue.length) this.cut();
  }

  /** Tells the proposals whose deadline passed; costs nothing while none has. */
  expire(nowMs: number): void {
    if (nowMs < this.earliestDeadlineMs) return;
    this.earliestDeadlineMs = Infinity;
    for (let at = this.head; at < this.queue.length; at++) {
      const waiting = this.queue[at];
      if (!waiting || waiting.settled) continue;
      if (waiting.deadlineMs <= nowMs) this.fail(waiting, HostErrorCode.Timeout, 'timeout');
      else this.earliestDeadlineMs = Math.min(this.earliestDeadlineMs, waiting.deadlineMs);
    }
  }

  /** Entries up to `index` came with a snapshot: nobody here will ever know what became of each. */
  failThrough(index: LogIndex): void {
    let first = this.queue[this.head];
    while (first && first.index <= index) {
      this.fail(first, HostErrorCode.Timeout, 'timeout');
      first = this.queue[++this.head];
    }
  }

  failAll(code: HostErrorCode, message: string): void {
    for (let at = this.head; at < this.queue.length; at++) {
      const waiting = this.queue[at];
      if (waiting) this.fail(waiting, code, message);
    }
    this.queue = [];
    this.head = 0;
  }

  /** Entries from `index` on were replaced by a newer leader's; so were their proposals. */
  private dropFrom(index: LogIndex): void {
    let last = this.queue[this.queue.length - 1];
    while (last && this.size > 0 && last.index >= index) {
      this.fail(last, HostErrorCode.Aborted, 'request aborted');
      this.queue.pop();
      last = this.queue[this.queue.length - 1];
    }
  }

  private fail(waiting: Waiting<Result>, code: HostErrorCode, message: string): void {
    if (waiting.settled) return;
    waiting.settled = true;
    waiting.reject(new HostError(code, message));
  }

  private cut(): void {
    this.queue = this.queue.slice(this.head);
    this.head = 0;
  }
}
