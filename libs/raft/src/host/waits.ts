/**
 * Callers that wait for something about a group to become true: that it has a leader, or that its
 * state here has reached an index.
 *
 * In: requests, the value as it changes, the time. Out: each request's promise, settled exactly
 * once. Bounded by `waitersMax`; costs nothing while nobody waits.
 */
import { HostError, HostErrorCode } from './host-error.js';

interface Waiter {
  /** What the value has to reach. */
  readonly least: number;
  readonly deadlineMs: number;
  readonly resolve: (value: number) => void;
  readonly reject: (error: HostError) => void;
}

export class Waits {
  private waiters: Waiter[] = [];

  constructor(private readonly waitersMax: number) {}

  get isEmpty(): boolean {
    return this.waiters.length === 0;
  }

  /** Settles once `reached` is told a value of at least `least`. */
  until(least: number, deadlineMs: number): Promise<number> {
    if (this.waiters.length >= this.waitersMax) {
      const message = 'system is too busy try again later';
      return Promise.reject(new HostError(HostErrorCode.Busy, message));
    }
    return new Promise((resolve, reject) => {
      this.waiters.push({ least, deadlineMs, resolve, reject });
    });
  }

  reached(value: number): void {
    if (this.isEmpty) return;
    this.keep((waiter) => {
      if (value < waiter.least) return true;
      waiter.resolve(value);
      return false;
    });
  }

  expire(nowMs: number, code: HostErrorCode, message: string): void {
    if (this.isEmpty) return;
    this.keep((waiter) => {
      if (nowMs < waiter.deadlineMs) return true;
      waiter.reject(new HostError(code, message));
      return false;
    });
  }

  failAll(code: HostErrorCode, message: string): void {
    this.keep((waiter) => {
      waiter.reject(new HostError(code, message));
      return false;
    });
  }

  private keep(stays: (waiter: Waiter) => boolean): void {
    this.waiters = this.waiters.filter(stays);
  }
}
