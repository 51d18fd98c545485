/**
 * Writes what a controller's server stream yields to a call, at the pace of the reader.
 *
 * In: an observable of messages, or of async iterables of messages. An async iterable is read one
 * message at a time, so it holds nothing in memory; an observable cannot be slowed down, so what it
 * emits ahead of the reader waits in a bounded queue, and overflowing it ends the call.
 */
import { type CallContext, GrpcStatusError, type MessageSink, status } from '@flotilla/grpc';
import { type Observable, type Subscription } from 'rxjs';
import { toGrpcStatus } from './grpc-status.js';

/** Messages an observable may be ahead of its reader. */
export const STREAM_AHEAD_MAX = 1_024;

/** Resolves when all is written; rejects with what the stream, the encoder or the call failed of. */
export function writeStream(
  values: Observable<unknown>,
  call: CallContext,
  sink: MessageSink,
  encode: (value: unknown) => Uint8Array,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const writer = new StreamWriter(call, sink, encode, (error) => {
      if (error === undefined) resolve();
      else reject(error);
    });
    writer.read(values);
  });
}

class StreamWriter {
  private readonly waiting: unknown[] = [];
  private subscription: Subscription | undefined;
  private pumping = false;
  /** The source has nothing more; `failure` says whether it ended well. */
  private sourceEnded = false;
  private failure: Error | undefined;
  private ended = false;

  constructor(
    private readonly call: CallContext,
    private readonly sink: MessageSink,
    private readonly encode: (value: unknown) => Uint8Array,
    private readonly settle: (error: Error | undefined) => void,
  ) {}

  read(values: Observable<unknown>): void {
    this.call.signal.addEventListener('abort', this.onAbort);
    this.subscription = values.subscribe({
      next: (value) => this.onValue(value),
      error: (error: unknown) => this.onSourceEnd(toGrpcStatus(error)),
      complete: () => this.onSourceEnd(undefined),
    });
    // A source that emits while it is subscribed to may have ended the stream already.
    if (this.ended) this.subscription.unsubscribe();
    else if (this.call.cancelled) this.onAbort();
  }

  private readonly onAbort = (): void => {
    this.end(new GrpcStatusError(status.CANCELLED, 'the call was cut off'));
  };

  private onValue(value: unknown): void {
    if (this.ended) return;
    if (this.waiting.length >= STREAM_AHEAD_MAX) {
      const text = 'the reader of the stream is too slow';
      this.end(new GrpcStatusError(status.RESOURCE_EXHAUSTED, text));
      return;
    }
    this.waiting.push(value);
    this.startPump();
  }

  /** What was emitted before the end is still written, also before a failure. */
  private onSourceEnd(failure: Error | undefined): void {
    this.sourceEnded = true;
    this.failure = failure;
    if (!this.pumping) this.end(failure);
  }

  private startPump(): void {
    if (this.pumping) return;
    this.pumping = true;
    this.pump().catch((error: unknown) => this.end(toGrpcStatus(error)));
  }

  private async pump(): Promise<void> {
    while (this.waiting.length > 0 && !this.ended) {
      const value = this.waiting.shift();
      if (!isAsyncIterable(value)) {
        await this.sink.write(this.encode(value));
        continue;
      }
      for await (const inner of value) {
        if (this.ended) break;
        await this.sink.write(this.encode(inner));
      }
    }
    // No await between the last look at the queue and this: a value that comes later starts anew.
    this.pumping = false;
    if (this.sourceEnded) this.end(this.failure);
  }

  private end(error: Error | undefined): void {
    if (this.ended) return;
    this.ended = true;
    this.waiting.length = 0;
    this.call.signal.removeEventListener('abort', this.onAbort);
    this.subscription?.unsubscribe();
    this.settle(error);
  }
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
