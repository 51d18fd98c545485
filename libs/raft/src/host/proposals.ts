/**
 * Proposals of one group that wait for their entry to be applied, in the order of their indexes.
 *
 * In: proposals, the indexes their entries got, applied entries, the time. Out: each
 * proposal's waiter, told exactly once. A proposal whose deadline passed is told so, while its
 * place stays until its entry is applied or replaced. Bounded by `proposalsMax`.
 */
import type { LogIndex, Term } from '../core/types.js';
import { HostError, HostErrorCode } from './host-error.js';
import type { ProposalOutcome } from './ports.js';

/** Whoever is told how a proposal ended, exactly once. Must not throw. */
export interface ProposalWaiter<Result> {
  resolve(outcome: ProposalOutcome<Result>): void;
  reject(error: HostError): void;
}

/** A proposal that has no index yet: it enters the log with all others of its turn. */
export interface AddedProposal<Result> {
  readonly data: Uint8Array;
  readonly deadlineMs: number;
  readonly waiter: ProposalWaiter<Result>;
}

interface Waiting<Result> {
  readonly index: LogIndex;
  readonly term: Term;
  readonly deadlineMs: number;
  readonly waiter: ProposalWaiter<Result>;
  settled: boolean;
}

/** How many empty places may gather at the front before the array is cut. */
const HEAD_SLACK = 1024;

export class Proposals<Result> {
  private added: AddedProposal<Result>[] = [];
  /** Empty up to `head`: who was told is let go at once, and with it what was proposed. */
  private queue: (Waiting<Result> | undefined)[] = [];
  private head = 0;
  private earliestDeadlineMs = Infinity;

  constructor(private readonly proposalsMax: number) {}

  get size(): number {
    return this.queue.length - this.head + this.added.length;
  }

  get isFull(): boolean {
    return this.size >= this.proposalsMax;
  }

  /** Enters the log at the end of this turn. */
  add(data: Uint8Array, deadlineMs: number, waiter: ProposalWaiter<Result>): void {
    this.added.push({ data, deadlineMs, waiter });
  }

  takeAdded(): readonly AddedProposal<Result>[] {
    const { added } = this;
    if (added.length > 0) this.added = [];
    return added;
  }

  /** The proposals got the indexes from `first` on, in their order. */
  entered(added: readonly AddedProposal<Result>[], first: LogIndex, term: Term): void {
    this.dropFrom(first);
    let index = first;
    for (const { deadlineMs, waiter } of added) {
      if (deadlineMs < this.earliestDeadlineMs) this.earliestDeadlineMs = deadlineMs;
      this.queue.push({ index: index++, term, deadlineMs, waiter, settled: false });
    }
  }

  /** Waits for the entry (`index`, `term`). A later index must not be waited for already. */
  wait(index: LogIndex, term: Term, deadlineMs: number): Promise<ProposalOutcome<Result>> {
    this.dropFrom(index);
    if (deadlineMs < this.earliestDeadlineMs) this.earliestDeadlineMs = deadlineMs;
    return new Promise((resolve, reject) => {
      this.queue.push({ index, term, deadlineMs, waiter: { resolve, reject }, settled: false });
    });
  }

  /** The entry (`index`, `term`) was applied: its proposal, if any waits, has its result. */
  applied(index: LogIndex, term: Term, result: Result): void {
    let first = this.queue[this.head];
    while (first && first.index < index) {
      this.fail(first, HostErrorCode.Aborted, 'request aborted');
      first = this.pass();
    }
    if (first?.index === index) {
      this.pass();
      if (first.term !== term) this.fail(first, HostErrorCode.Aborted, 'request aborted');
      else if (!first.settled) {
        first.settled = true;
        first.waiter.resolve({ result, index, term });
      }
    }
    if (this.head > HEAD_SLACK && this.head * 2 > this.queue.length) this.cut();
  }

  /** Tells the proposals whose deadline passed; costs nothing while none has. */
  expire(nowMs: number): void {
    if (this.added.length > 0) this.expireAdded(nowMs);
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
      first = this.pass();
    }
  }

  failAll(code: HostErrorCode, message: string): void {
    for (const { waiter } of this.takeAdded()) waiter.reject(new HostError(code, message));
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
    while (last && this.queue.length > this.head && last.index >= index) {
      this.fail(last, HostErrorCode.Aborted, 'request aborted');
      this.queue.pop();
      last = this.queue[this.queue.length - 1];
    }
  }

  private fail(waiting: Waiting<Result>, code: HostErrorCode, message: string): void {
    if (waiting.settled) return;
    waiting.settled = true;
    waiting.waiter.reject(new HostError(code, message));
  }

  /** One that did not enter the log in time never does. */
  private expireAdded(nowMs: number): void {
    this.added = this.added.filter(({ deadlineMs, waiter }) => {
      if (deadlineMs > nowMs) return true;
      waiter.reject(new HostError(HostErrorCode.Timeout, 'timeout'));
      return false;
    });
  }

  /** Lets go of the first one, and gives the next. */
  private pass(): Waiting<Result> | undefined {
    this.queue[this.head] = undefined;
    return this.queue[++this.head];
  }

  private cut(): void {
    this.queue = this.queue.slice(this.head);
    this.head = 0;
  }
}
