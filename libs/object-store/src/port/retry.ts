/**
 * Tries again, where that is safe, with growing pauses.
 *
 * In: a call that may be made more than once, and which ends are worth another try. Out: its
 * result, or its last error. Pauses are bounded, spread by chance, and end with the call's scope.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ATTEMPTS_MAX, BACKOFF_MS_MAX, BACKOFF_MS_MIN } from './bounds.js';
import { type CallScope } from './call-scope.js';
import { ObjectStoreError } from './errors.js';

export interface RetryOptions {
  readonly attemptsMax?: number;
  readonly backoffMsMin?: number;
  /** From 0 up to 1. */
  readonly random?: () => number;
}

export interface Attempt {
  /** From 1. */
  readonly number: number;
  /** An earlier try ended without saying whether it was carried out. */
  readonly mayBeDone: boolean;
}

export async function retrying<T>(
  scope: CallScope,
  { attemptsMax = ATTEMPTS_MAX, backoffMsMin = BACKOFF_MS_MIN, random = Math.random }: RetryOptions,
  work: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  for (let number = 1; ; number += 1) {
    scope.throwIfOver();
    try {
      return await work({ number, mayBeDone: number > 1 });
    } catch (error) {
      if (number >= attemptsMax || !isRetryable(error)) throw error;
    }
    const backoffMs = Math.min(BACKOFF_MS_MAX, backoffMsMin * 2 ** (number - 1));
    await scope.within(
      sleep(backoffMs * (0.5 + random() / 2), undefined, { signal: scope.signal }),
    );
  }
}

function isRetryable(error: unknown): boolean {
  return error instanceof ObjectStoreError && error.retryable;
}
