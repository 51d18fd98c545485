/**
 * Whether and when a call is tried again.
 *
 * In: how the last attempt ended. Out: a pause, or that error where there must be no other attempt.
 *
 * Must never send a change again that may have been made: only where nothing certainly happened.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientError } from './client-error.js';

const ATTEMPTS_MAX = 10;
const PAUSE_MS = 20;
const PAUSE_MS_MAX = 1_000;

export class Attempts {
  private failed = 0;

  constructor(
    /** When the call has to be over, on the clock of `performance.now()`. */
    readonly endMs: number,
    private readonly isRead: boolean,
  ) {}

  /** What is left for the next attempt; never 0, which would mean no deadline. */
  get leftMs(): number {
    return Math.max(1, Math.ceil(this.endMs - performance.now()));
  }

  /** Settles when the next attempt is due; throws the error if there is none. */
  async another(error: ClientError): Promise<void> {
    this.failed++;
    const pauseMs = Math.min(PAUSE_MS * 2 ** (this.failed - 1), PAUSE_MS_MAX);
    const isInTime = this.failed < ATTEMPTS_MAX && performance.now() + pauseMs < this.endMs;
    const isSafe = this.isRead || error.notExecuted;
    if (!isInTime || !isSafe || !error.retryable) throw error;
    await sleep(pauseMs);
  }
}
