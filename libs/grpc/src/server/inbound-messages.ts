/**
 * The messages of a client-streaming or bidirectional call, as an async iterator.
 *
 * In: messages pushed one by one, each after it was asked for; the end; an error. Out: what a
 * `for await` in a handler sees.
 *
 * Must never ask for a message before the handler does: that is what holds a fast writer back.
 */
import { type GrpcStatusError } from '../status.js';

interface Waiter {
  resolve(result: IteratorResult<Buffer, undefined>): void;
  reject(error: GrpcStatusError): void;
}

export class InboundMessages implements AsyncIterableIterator<Buffer> {
  #waiters: Waiter[] = [];
  #end: { readonly error: GrpcStatusError | undefined } | undefined;

  /** `pull` asks the other side of the queue for one more message. */
  constructor(private readonly pull: () => void) {}

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Buffer, undefined>> {
    if (this.#end !== undefined) {
      return this.#end.error === undefined
        ? Promise.resolve({ done: true, value: undefined })
        : Promise.reject(this.#end.error);
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      if (this.#waiters.length === 1) {
        this.pull();
      }
    });
  }

  /** The handler leaves the loop: nothing more will be asked for. */
  return(): Promise<IteratorResult<Buffer, undefined>> {
    this.finish(undefined);
    return Promise.resolve({ done: true, value: undefined });
  }

  push(message: Buffer): void {
    this.#waiters.shift()?.resolve({ done: false, value: message });
    if (this.#waiters.length > 0) {
      this.pull();
    }
  }

  /** No more messages; whoever waits, now or later, sees the error if there is one. */
  finish(error: GrpcStatusError | undefined): void {
    this.#end ??= { error };
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (error === undefined) {
        waiter.resolve({ done: true, value: undefined });
      } else {
        waiter.reject(error);
      }
    }
  }
}
