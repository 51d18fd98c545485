/**
 * One call on a server, from its headers to its status, whatever carries its frames.
 *
 *     open --(guards let it pass)--> running --(answer, error, deadline, cancel)--> ended
 *
 * In: frames and signals of the wire (`onFrame`, `onHalfClose`, `onCancel`). Out: headers, frames
 * and one status through the `CallWire`. In between: guards, unpacking, the handler, packing,
 * observers, and the translation of whatever a handler throws.
 *
 * Must never send after the status, never tell a client what an unexpected error said, and make
 * no promise, timer or clock reading for a unary call that needs none.
 */
import { type MessageEncoding } from '../encoding/encoding.js';
import { GrpcError } from '../errors.js';
import {
  checkMetadataPair,
  metadataPairs,
  type MetadataValue,
  type ReceivedMetadata,
} from '../metadata.js';
import { GrpcStatusError, status, toStatusError, type StatusCode } from '../status.js';
import {
  type CallContext,
  type CallObserver,
  type GrpcLogger,
  type MessageBytes,
  type MessageSink,
} from '../transport.js';
import { watchCall, type CallWatch } from './call-watch.js';
import { InboundMessages } from './inbound-messages.js';
import { type Frame } from './frames.js';
import { MessagePacker, unpackError, unpackFrame } from './message-packing.js';
import { type RegisteredMethod } from './method-table.js';

export type MetadataPairs = readonly (readonly [string, MetadataValue])[];

/** What a call needs of the connection under it. */
export interface CallWire {
  /** Sends the headers; called at most once, before the first frame. */
  sendHeaders(pairs: MetadataPairs): void;
  /** Sends a frame. False when the reader is behind; `onWritable` is then called once. */
  sendFrame(frame: Frame, onWritable: () => void): boolean;
  /** Ends the call in order, after all frames sent before. */
  sendStatus(code: StatusCode, message: string, trailers: MetadataPairs): void;
  /** Cuts the call at once; for a reader that would never see a status. */
  reset(): void;
  /** Asks for the next frame of the client, or for its end. None comes that was not asked for. */
  pull(): void;
}

/** What a call needs of the server it runs on. */
export interface CallHost {
  readonly logger: GrpcLogger;
  readonly receiveBytesMax: number;
  readonly observers: readonly CallObserver[];
  onBegin(): void;
  /** The call is over and its handler has returned. Told once. */
  onDone(): void;
}

export interface CallStart {
  readonly method: RegisteredMethod;
  readonly metadata: ReceivedMetadata;
  readonly peer: string;
  readonly deadline: number | undefined;
  /** How the messages of the client are packed. */
  readonly requestEncoding: MessageEncoding;
  /** How to pack the answers. */
  readonly answerEncoding: MessageEncoding;
}

/** Longest wait that a timer of the platform can express. */
const TIMER_MS_MAX = 2 ** 31 - 1;

const NO_PAIRS: MetadataPairs = [];

export class ServerCall implements CallContext, MessageSink {
  readonly path: string;
  readonly peer: string;
  readonly deadline: number | undefined;
  readonly metadata: ReceivedMetadata;

  #end: GrpcStatusError | 'ok' | undefined;
  #handlerRuns = false;
  #done = false;
  #abort: AbortController | undefined;
  #headers: [string, MetadataValue][] | undefined;
  #packer: MessagePacker | undefined;
  #headersSent = false;
  #trailers: [string, MetadataValue][] | undefined;
  #timer: NodeJS.Timeout | undefined;
  #request: Buffer | undefined;
  #inbound: InboundMessages | undefined;
  #writing: Promise<void> | undefined;
  /** Set while a write waits for the reader. */
  #drain: ((error?: GrpcStatusError) => void) | undefined;
  #watch: CallWatch | undefined;

  constructor(
    private readonly host: CallHost,
    private readonly wire: CallWire,
    private readonly start: CallStart,
  ) {
    this.path = start.method.info.path;
    this.peer = start.peer;
    this.deadline = start.deadline;
    this.metadata = start.metadata;
  }

  // ---- what the handler sees -------------------------------------------------------------------

  get cancelled(): boolean {
    return this.#end !== undefined && this.#end !== 'ok';
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#end instanceof GrpcStatusError) {
        this.#abort.abort(this.#end);
      }
    }
    return this.#abort.signal;
  }

  setHeader(name: string, value: MetadataValue): void {
    const key = checkMetadataPair(name, value);
    if (this.#headersSent) {
      throw new GrpcError('METADATA_INVALID', `header "${key}" comes after the first message`);
    }
    (this.#headers ??= []).push([key, value]);
  }

  setTrailer(name: string, value: MetadataValue): void {
    (this.#trailers ??= []).push([checkMetadataPair(name, value), value]);
  }

  write(message: MessageBytes): Promise<void> | undefined {
    if (this.#writing !== undefined) {
      return this.#queueWrite(this.#writing.then(() => this.#writeNow(message)));
    }
    const written = this.#writeNow(message);
    return written === undefined ? undefined : this.#queueWrite(written);
  }

  // ---- what the wire says ----------------------------------------------------------------------

  /** Begins the call: observers, deadline, guards, then the handler or the wait for its message. */
  begin(): void {
    this.host.onBegin();
    if (this.host.observers.length > 0) {
      const { observers, logger } = this.host;
      this.#watch = watchCall(observers, logger, this.start.method.info, this);
    }
    if (this.deadline !== undefined && !this.#armDeadline(this.deadline)) {
      return;
    }
    try {
      const gate = this.#runGuards(0);
      if (gate === undefined) {
        this.#admit();
      } else {
        gate.then(
          () => this.#admit(),
          (error: unknown) => this.#fail(error),
        );
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  onFrame(frame: Buffer): void {
    if (this.#end !== undefined) {
      return;
    }
    if (this.#request !== undefined) {
      this.#fail(new GrpcStatusError(status.INTERNAL, 'more than one request message received'));
      return;
    }
    this.#watch?.received();
    try {
      const message = unpackFrame(this.start.requestEncoding, frame, this.host.receiveBytesMax);
      if (message instanceof Promise) {
        message.then(
          (bytes) => this.#take(bytes),
          (error: unknown) => this.#fail(unpackError(error, this.host.receiveBytesMax)),
        );
      } else {
        this.#take(message);
      }
    } catch (error) {
      this.#fail(unpackError(error, this.host.receiveBytesMax));
    }
  }

  onHalfClose(): void {
    if (this.#end !== undefined) {
      return;
    }
    if (this.#inbound !== undefined) {
      this.#inbound.finish(undefined);
      return;
    }
    if (this.#request === undefined) {
      this.#fail(new GrpcStatusError(status.INTERNAL, 'no request message received'));
      return;
    }
    this.#run(this.#request);
  }

  /** The client has gone or has given up. */
  onCancel(): void {
    this.#finish(new GrpcStatusError(status.CANCELLED, 'context canceled'), undefined, false);
  }

  /** Ends the call from outside, with a status for the client. */
  refuse(error: GrpcStatusError): void {
    this.#fail(error);
  }

  // ---- the stages ------------------------------------------------------------------------------

  /** False when the deadline is past already. */
  #armDeadline(deadline: number): boolean {
    const leftMs = deadline - Date.now();
    if (leftMs <= 0) {
      this.#expire();
      return false;
    }
    this.#timer = setTimeout(() => this.#armDeadline(deadline), Math.min(leftMs, TIMER_MS_MAX));
    return true;
  }

  #expire(): void {
    const error = new GrpcStatusError(status.DEADLINE_EXCEEDED, 'context deadline exceeded');
    // A status behind frames that nobody reads would never arrive.
    const stalled = this.#drain !== undefined;
    this.#finish(error, undefined, !stalled);
    if (stalled) {
      this.wire.reset();
    }
  }

  #runGuards(from: number): Promise<void> | undefined {
    const { guards } = this.start.method;
    for (let at = from; at < guards.length; at += 1) {
      const gate = guards[at]?.(this);
      if (gate instanceof Promise) {
        return gate.then(() => this.#runGuards(at + 1));
      }
    }
    return undefined;
  }

  #admit(): void {
    if (this.#end !== undefined) {
      return;
    }
    const { handler } = this.start.method;
    if (handler.kind === 'client-stream') {
      this.#inbound = new InboundMessages(() => this.wire.pull());
      const inbound = this.#inbound;
      this.#guarded(
        () => handler.handle(inbound, this),
        (answer) => this.#answer(answer),
      );
    } else if (handler.kind === 'bidi') {
      this.#inbound = new InboundMessages(() => this.wire.pull());
      const inbound = this.#inbound;
      this.#guarded(
        () => handler.handle(inbound, this, this),
        () => this.#succeed(),
      );
    } else {
      this.wire.pull();
    }
  }

  /** A message of the client, unpacked. */
  #take(message: Buffer): void {
    if (this.#inbound !== undefined) {
      this.#inbound.push(message);
    } else {
      this.#request = message;
      // The end of the client's side is read the same way as a message.
      this.wire.pull();
    }
  }

  #run(request: Buffer): void {
    const { handler } = this.start.method;
    if (handler.kind === 'unary') {
      this.#guarded(
        () => handler.handle(request, this),
        (answer) => this.#answer(answer),
      );
    } else if (handler.kind === 'server-stream') {
      this.#guarded(
        () => handler.handle(request, this, this),
        () => this.#succeed(),
      );
    }
  }

  /** Runs a handler; what it gives goes to `next`, what it throws ends the call. */
  #guarded<T>(handle: () => T | Promise<T>, next: (result: T) => void): void {
    const settle = (step: () => void): void => {
      this.#handlerRuns = false;
      step();
      this.#checkDone();
    };
    this.#handlerRuns = true;
    let result: T | Promise<T>;
    try {
      result = handle();
    } catch (error) {
      settle(() => this.#fail(error));
      return;
    }
    if (result instanceof Promise) {
      result.then(
        (value) => settle(() => next(value)),
        (error: unknown) => settle(() => this.#fail(error)),
      );
    } else {
      const value = result;
      settle(() => next(value));
    }
  }

  /** The one answer of a unary or client-streaming call. */
  #answer(message: MessageBytes): void {
    if (this.#end !== undefined) {
      return;
    }
    try {
      const frame = this.#pack(message);
      if (frame instanceof Promise) {
        frame.then(
          (packed) => this.#answerFrame(packed),
          (error: unknown) => this.#fail(error),
        );
      } else {
        this.#answerFrame(frame);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #answerFrame(frame: Frame): void {
    if (this.#end === undefined) {
      this.#send(frame, () => undefined);
      this.#succeed();
    }
  }

  #succeed(): void {
    if (this.#writing !== undefined) {
      // The handler did not wait for its last writes; its status still comes after them.
      this.#writing.then(
        () => this.#finish('ok', undefined, true),
        (error: unknown) => this.#fail(error),
      );
      return;
    }
    this.#finish('ok', undefined, true);
  }

  #fail(thrown: unknown): void {
    const error = toStatusError(thrown);
    if (error === thrown) {
      this.#finish(error, undefined, true);
      return;
    }
    const fields = { err: thrown, method: this.path, peer: this.peer };
    if (this.#end === undefined) {
      this.host.logger.error(fields, 'a handler failed');
    } else if (!(thrown instanceof Error && thrown.name === 'AbortError')) {
      this.host.logger.warn(fields, 'a handler failed after its call had ended');
    }
    this.#finish(error, thrown, true);
  }

  /** The one way to end. */
  #finish(end: GrpcStatusError | 'ok', cause: unknown, tell: boolean): void {
    if (this.#end !== undefined) {
      return;
    }
    this.#end = end;
    clearTimeout(this.#timer);
    const error = end === 'ok' ? undefined : end;
    if (tell) {
      this.#sendStatus(error);
    }
    if (error !== undefined) {
      this.#inbound?.finish(error);
      this.#drain?.(error);
      this.#abort?.abort(error);
    }
    this.#watch?.finish(error, cause);
    this.#checkDone();
  }

  #checkDone(): void {
    if (this.#end !== undefined && !this.#handlerRuns && !this.#done) {
      this.#done = true;
      this.host.onDone();
    }
  }

  #sendStatus(error: GrpcStatusError | undefined): void {
    let trailers: MetadataPairs = this.#trailers ?? NO_PAIRS;
    if (error?.metadata !== undefined) {
      try {
        trailers = [...trailers, ...metadataPairs(error.metadata)];
      } catch (invalid) {
        this.host.logger.error(
          { err: invalid, method: this.path },
          'an error cannot be sent whole',
        );
      }
    }
    // Headers that were set must arrive even if no message was sent.
    if (!this.#headersSent && this.#headers !== undefined) {
      this.#sendHeaders();
    }
    this.wire.sendStatus(error?.code ?? status.OK, error?.message ?? '', trailers);
  }

  // ---- messages out ----------------------------------------------------------------------------

  #writeNow(message: MessageBytes): Promise<void> | undefined {
    if (this.#end !== undefined) {
      throw this.#end === 'ok'
        ? new GrpcStatusError(status.INTERNAL, 'a message was written after the call had ended')
        : this.#end;
    }
    const frame = this.#pack(message);
    return frame instanceof Promise
      ? frame.then((packed) => this.#sendOrWait(packed))
      : this.#sendOrWait(frame);
  }

  #pack(message: MessageBytes): Frame | Promise<Frame> {
    const { answerEncoding, method } = this.start;
    this.#packer ??= new MessagePacker(answerEncoding, method.packing?.bytesMin);
    return this.#packer.pack(message);
  }

  /** Keeps writes in order while one of them waits. */
  #queueWrite(written: Promise<void>): Promise<void> {
    this.#writing = written;
    const clear = (): void => {
      if (this.#writing === written) {
        this.#writing = undefined;
      }
    };
    written.then(clear, clear);
    return written;
  }

  #sendOrWait(frame: Frame): Promise<void> | undefined {
    if (this.#end instanceof GrpcStatusError) {
      throw this.#end;
    }
    if (this.#send(frame, () => this.#drain?.())) {
      return undefined;
    }
    return new Promise<void>((resolve, reject) => {
      this.#drain = (error) => {
        this.#drain = undefined;
        if (error === undefined) {
          resolve();
        } else {
          reject(error);
        }
      };
    });
  }

  #send(frame: Frame, onWritable: () => void): boolean {
    if (!this.#headersSent) {
      this.#sendHeaders();
    }
    this.#watch?.sent();
    return this.wire.sendFrame(frame, onWritable);
  }

  #sendHeaders(): void {
    this.#headersSent = true;
    this.wire.sendHeaders(this.#headers ?? NO_PAIRS);
  }
}
