/**
 * What a caller sees of the answers of a call: one message, or an iteration.
 *
 * In: frames, and one end. Out: unpacked messages, in order, then the end. An iteration begins its call
 * when it is first asked, and gives bytes back to the server's window as they are asked for.
 */
import { type MessageEncoding } from '../encoding/encoding.js';
import { identity } from '../encoding/identity.js';
import { FRAME_HEADER_BYTES } from '../server/frames.js';
import { unpackError, unpackFrame } from '../server/message-packing.js';
import { GrpcStatusError, status } from '../status.js';

/** Takes the answers of a call. */
export interface AnswerSink {
  readonly wantsOne: boolean;
  readonly isHungry: boolean;
  /** How messages are packed, told by the headers. */
  encoding: MessageEncoding;
  frame(frame: Buffer, charge: number): void;
  /** Told once. With `isNow` what was not read yet is of no interest. */
  end(error: unknown, isNow: boolean): void;
}

/** What an answer asks of its call. */
export interface AnsweredCall {
  readonly receiveBytesMax: number;
  consumed(charge: number): void;
  fail(error: Error): void;
  cancel(): void;
}

type Unpacked = Buffer | Promise<Buffer>;

function unpack(encoding: MessageEncoding, frame: Buffer, bytesMax: number): Unpacked {
  if (frame[0] === 0) return frame.subarray(FRAME_HEADER_BYTES);
  const unpacked = unpackFrame(encoding, frame, bytesMax);
  if (!(unpacked instanceof Promise)) return unpacked;
  return unpacked.catch((error: unknown) => {
    throw unpackError(error, bytesMax);
  });
}

export class SingleAnswer implements AnswerSink {
  readonly wantsOne = true;
  readonly isHungry = true;
  encoding = identity;
  call: AnsweredCall | undefined;
  private answer: Buffer | undefined;

  constructor(
    private readonly resolve: (message: Unpacked) => void,
    private readonly reject: (error: unknown) => void,
  ) {}

  frame(frame: Buffer): void {
    if (this.answer === undefined) this.answer = frame;
    else this.call?.fail(new GrpcStatusError(status.INTERNAL, 'Too many responses received'));
  }

  end(error: unknown): void {
    if (error !== undefined) return this.reject(error);
    if (this.answer === undefined) {
      return this.reject(new GrpcStatusError(status.INTERNAL, 'the server sent no message'));
    }
    const bytesMax = this.call?.receiveBytesMax ?? 0;
    try {
      this.resolve(unpack(this.encoding, this.answer, bytesMax));
    } catch (corrupt) {
      this.reject(unpackError(corrupt, bytesMax));
    }
  }
}

interface Waiter {
  resolve(result: IteratorResult<Buffer, undefined> | Promise<IteratorResult<Buffer>>): void;
  reject(error: unknown): void;
}

interface Waiting {
  readonly frame: Buffer;
  readonly charge: number;
}

const DONE = { done: true, value: undefined } as const;

export class AnswerStream implements AnswerSink, AsyncIterableIterator<Buffer, undefined> {
  readonly wantsOne = false;
  encoding = identity;
  private call: AnsweredCall | undefined;
  private frames: Waiting[] = [];
  private waiters: Waiter[] = [];
  private isEnded = false;
  private error: unknown;

  private hasBegun = false;

  /** `begin` makes the call and tells of it, then or later. May throw. */
  constructor(
    private readonly begin: (sink: AnswerStream, begun: (call: AnsweredCall) => void) => void,
  ) {}

  get isHungry(): boolean {
    return this.frames.length === 0;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Buffer, undefined>> {
    return new Promise((resolve, reject) => {
      this.waiters.push({ resolve, reject });
      if (!this.hasBegun && !this.isEnded) this.beginCall();
      this.deliver();
    });
  }

  private beginCall(): void {
    this.hasBegun = true;
    try {
      this.begin(this, (call) => {
        this.call = call;
        // The caller may have left while the request was packed.
        if (this.isEnded) call.cancel();
      });
    } catch (error) {
      this.end(error, true);
    }
  }

  /** The caller leaves: the call is cancelled. */
  return(): Promise<IteratorResult<Buffer, undefined>> {
    this.end(undefined, true);
    this.call?.cancel();
    return Promise.resolve(DONE);
  }

  frame(frame: Buffer, charge: number): void {
    if (this.isEnded) return;
    this.frames.push({ frame, charge });
    this.deliver();
  }

  end(error: unknown, isNow: boolean): void {
    if (isNow) this.frames = [];
    if (!this.isEnded) {
      this.isEnded = true;
      this.error = error;
    }
    this.deliver();
  }

  private deliver(): void {
    while (this.waiters.length > 0) {
      const next = this.frames.shift();
      if (next === undefined && !this.isEnded) return;
      const waiter = this.waiters.shift();
      if (waiter === undefined) return;
      if (next === undefined) this.deliverEnd(waiter);
      else this.deliverMessage(waiter, next);
    }
  }

  private deliverMessage(waiter: Waiter, { frame, charge }: Waiting): void {
    const { call } = this;
    const bytesMax = call?.receiveBytesMax ?? 0;
    call?.consumed(charge);
    try {
      const message = unpack(this.encoding, frame, bytesMax);
      if (message instanceof Promise) {
        waiter.resolve(message.then((value) => ({ done: false, value }), this.giveUp));
      } else waiter.resolve({ done: false, value: message });
    } catch (corrupt) {
      const error = unpackError(corrupt, bytesMax);
      waiter.reject(error);
      this.end(undefined, true);
      call?.cancel();
    }
  }

  private readonly giveUp = (error: unknown): never => {
    this.end(undefined, true);
    this.call?.cancel();
    throw error;
  };

  /** An error is told once. */
  private deliverEnd(waiter: Waiter): void {
    const { error } = this;
    this.error = undefined;
    if (error === undefined) waiter.resolve(DONE);
    else waiter.reject(error);
  }
}
