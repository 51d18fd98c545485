/**
 * Linearizable reads of one group: all that wait share one ReadIndex round.
 *
 *   asked --(round starts)--> confirming --(quorum answered: index)--> applying --> ready
 *
 * In: requests, the quorum's answer, the applied index, the time. Out: each request's promise,
 * settled exactly once. A round that got no answer is asked again by `retryRound`. A request never
 * joins a round that started before it. Bounded by `readsMax`.
 */
import type { LogIndex } from '../core/types.js';
import { HostError, HostErrorCode } from './host-error.js';

interface WaitingRead {
  readonly deadlineMs: number;
  readonly resolve: () => void;
  readonly reject: (error: HostError) => void;
}

interface AppliedWait {
  readonly index: LogIndex;
  readonly reads: WaitingRead[];
}

const CONTEXT_BYTES = 8;

export class Reads {
  private asked: WaitingRead[] = [];
  private confirming: WaitingRead[] = [];
  private applying: AppliedWait[] = [];
  private round = 0;
  private waiting = 0;
  private earliestDeadlineMs = Infinity;

  /** `nonce` keeps contexts of several nodes, and of one node's lives, apart. */
  constructor(
    private readonly readsMax: number,
    private readonly nonce: number,
  ) {}

  get isEmpty(): boolean {
    return this.waiting === 0;
  }

  get isFull(): boolean {
    return this.waiting >= this.readsMax;
  }

  get wantsRound(): boolean {
    return this.confirming.length === 0 && this.asked.length > 0;
  }

  get isConfirming(): boolean {
    return this.confirming.length > 0;
  }

  ask(deadlineMs: number): Promise<void> {
    this.waiting++;
    if (deadlineMs < this.earliestDeadlineMs) this.earliestDeadlineMs = deadlineMs;
    return new Promise((resolve, reject) => {
      this.asked.push({ deadlineMs, resolve, reject });
    });
  }

  /** Starts a round for all that have asked; returns the context to give to the core. */
  startRound(): Uint8Array {
    this.confirming = this.asked;
    this.asked = [];
    this.round++;
    return this.context();
  }

  /** Asks once more for those whose round got no answer; a late answer to it no longer counts. */
  retryRound(): Uint8Array {
    this.round++;
    return this.context();
  }

  /** The quorum confirmed the round of `context` at `index`; stale answers are ignored. */
  confirmed(context: Uint8Array, index: LogIndex): void {
    if (!this.isConfirming || !equal(context, this.context())) return;
    this.applying.push({ index, reads: this.confirming });
    this.confirming = [];
  }

  /** Releases the reads that the state is now new enough for. */
  applied(index: LogIndex): void {
    let done = 0;
    for (const wait of this.applying) {
      if (wait.index > index) break;
      done++;
      for (const read of wait.reads) {
        this.waiting--;
        read.resolve();
      }
    }
    if (done > 0) this.applying.splice(0, done);
  }

  expire(nowMs: number): void {
    if (nowMs < this.earliestDeadlineMs) return;
    this.earliestDeadlineMs = Infinity;
    this.asked = this.keepLiving(this.asked, nowMs);
    this.confirming = this.keepLiving(this.confirming, nowMs);
    const applying = this.applying.map(({ index, reads }) => ({
      index,
      reads: this.keepLiving(reads, nowMs),
    }));
    this.applying = applying.filter(({ reads }) => reads.length > 0);
  }

  failAll(code: HostErrorCode, message: string): void {
    const groups = [this.asked, this.confirming, ...this.applying.map((wait) => wait.reads)];
    this.asked = [];
    this.confirming = [];
    this.applying = [];
    this.waiting = 0;
    for (const read of groups.flat()) read.reject(new HostError(code, message));
  }

  private keepLiving(reads: WaitingRead[], nowMs: number): WaitingRead[] {
    return reads.filter((read) => {
      if (read.deadlineMs > nowMs) {
        this.earliestDeadlineMs = Math.min(this.earliestDeadlineMs, read.deadlineMs);
        return true;
      }
      this.waiting--;
      read.reject(new HostError(HostErrorCode.Timeout, 'timeout'));
      return false;
    });
  }

  private context(): Uint8Array {
    const bytes = new Uint8Array(CONTEXT_BYTES);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, this.nonce);
    view.setUint32(4, this.round);
    return bytes;
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
