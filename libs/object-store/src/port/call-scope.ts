/**
 * How long a call may go on: until its caller gives up, its deadline passes or its store closes.
 *
 * In: the options of a call. Out: one `AbortSignal` whose reason is the `ObjectStoreError` that the
 * call has to end in. It must be closed, or a signal that outlives the call keeps it in memory.
 */
import { setMaxListeners } from 'node:events';
import { CALL_DEADLINE_MS, CALL_DEADLINE_MS_MAX } from './bounds.js';
import { ObjectStoreError } from './errors.js';
import { type CallOptions } from './object-store.js';

export class CallScope {
  readonly signal: AbortSignal;

  private readonly controller = new AbortController();
  private readonly deadlineMs: number;
  private readonly watched: (() => void)[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly what: string,
    options: CallOptions = {},
    closing?: AbortSignal,
  ) {
    this.deadlineMs = checkDeadline(options.deadlineMs);
    this.signal = this.controller.signal;
    // As many wait for them as there are parts and calls under way, which have bounds of their own.
    setMaxListeners(0, this.signal);
    if (closing !== undefined) setMaxListeners(0, closing);
    this.watch(options.signal, () => {
      return new ObjectStoreError('STORE_ABORTED', `${what} was given up`, {
        cause: options.signal?.reason,
      });
    });
    this.watch(closing, () => new ObjectStoreError('STORE_CLOSED', `${what}: store is closed`));
    this.renew();
  }

  /** Time begins anew: bytes have come or gone. */
  renew(): void {
    clearTimeout(this.timer);
    if (this.signal.aborted) return;
    this.timer = setTimeout(() => {
      const message = `${this.what} had no end, or no next bytes, within ${this.deadlineMs} ms`;
      this.controller.abort(new ObjectStoreError('STORE_DEADLINE', message));
    }, this.deadlineMs);
  }

  /** No time runs while the caller is slow to take or to give. */
  pause(): void {
    clearTimeout(this.timer);
  }

  throwIfOver(): void {
    this.signal.throwIfAborted();
  }

  /** What a failed call ends in: why the scope ended, if it did, else what went wrong. */
  reasonOr(error: unknown): unknown {
    return this.signal.aborted ? this.signal.reason : error;
  }

  /** Waits, no longer than the scope. What is left behind ends by the signal, or in silence. */
  async within<T>(work: Promise<T>): Promise<T> {
    if (this.signal.aborted) {
      work.then(undefined, () => undefined);
      throw this.signal.reason;
    }
    const { promise: over, cancel } = untilAborted(this.signal);
    try {
      return await Promise.race([work, over]);
    } finally {
      cancel();
    }
  }

  close(): void {
    clearTimeout(this.timer);
    for (const unwatch of this.watched.splice(0)) unwatch();
  }

  private watch(signal: AbortSignal | undefined, reason: () => ObjectStoreError): void {
    if (signal === undefined) return;
    const abort = (): void => this.controller.abort(reason());
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    this.watched.push(() => signal.removeEventListener('abort', abort));
  }
}

/** Runs a call in a scope of its own and closes it. */
export async function inScope<T>(scope: CallScope, work: () => Promise<T>): Promise<T> {
  try {
    scope.throwIfOver();
    return await work();
  } catch (error) {
    throw scope.reasonOr(error);
  } finally {
    scope.close();
  }
}

function untilAborted(signal: AbortSignal): { promise: Promise<never>; cancel: () => void } {
  let onAbort: (() => void) | undefined;
  const promise = new Promise<never>((_, reject) => {
    onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  return { promise, cancel: () => onAbort && signal.removeEventListener('abort', onAbort) };
}

function checkDeadline(deadlineMs: number = CALL_DEADLINE_MS): number {
  if (Number.isFinite(deadlineMs) && deadlineMs > 0 && deadlineMs <= CALL_DEADLINE_MS_MAX) {
    return deadlineMs;
  }
  const message = `deadlineMs must be above 0 and at most ${CALL_DEADLINE_MS_MAX}`;
  throw new ObjectStoreError('STORE_INVALID', `${message}, not ${deadlineMs}`);
}
