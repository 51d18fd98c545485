/**
 * One call of a client, from the first attempt to its one end.
 *
 *     waiting --a connection with room--> open --status, deadline, cancel, loss--> ended
 *        ^----- the server never looked at it -----/
 *
 * Must never be made a second time where the server may have looked at the first.
 */
import { type CallOptions } from '../client.js';
import { type MessageEncoding } from '../encoding/encoding.js';
import { findEncoding } from '../encoding/registry.js';
import { type ReceivedMetadata } from '../metadata.js';
import { type Frame } from '../server/frames.js';
import { type MetadataPairs } from '../server/server-call.js';
import { GrpcStatusError, status } from '../status.js';
import { type AnswerSink } from './client-answers.js';
import { type ClientConnection } from './client-connection.js';
import { type Deadlines, type Expiring } from './client-deadlines.js';
import { GOODBYES_MAX, REFUSALS_MAX } from './client-limits.js';
import { timeoutText } from './client-request-blocks.js';
import { type RequestPump } from './client-requests.js';
import { type ResponseHead } from './client-response-heads.js';
import { cancelled, deadlineExceeded } from './client-status.js';
import { type ClientStream, type StreamUser } from './client-stream.js';

/** What a call needs of its client. */
export interface CallHost {
  readonly receiveBytesMax: number;
  readonly deadlines: Deadlines;
  /** Opens the call on a connection, now or later, or fails it. */
  submit(call: ClientCall): void;
  /** The call no longer waits. */
  withdraw(call: ClientCall): void;
}

/** One message, plain or in its frame; or a pump for many. */
export type CallRequest =
  | { readonly kind: 'message'; readonly message: Uint8Array }
  | { readonly kind: 'frame'; readonly frame: Frame }
  | { readonly kind: 'pump'; readonly pump: RequestPump };

/** How much earlier a server may count the end of the same deadline: headers carry milliseconds. */
export const DEADLINE_SKEW_MS = 2;

export class ClientCall implements StreamUser, Expiring {
  bucket: number | undefined;
  private stream: ClientStream | undefined;
  private isEnded = false;
  private refusals = 0;
  private goodbyes = 0;
  private deadlineAtMs = Infinity;

  constructor(
    private readonly host: CallHost,
    readonly path: string,
    readonly encoding: MessageEncoding,
    readonly pairs: MetadataPairs,
    private readonly request: CallRequest,
    private readonly options: CallOptions,
    private readonly sink: AnswerSink,
  ) {}

  get wantsOne(): boolean {
    return this.sink.wantsOne;
  }

  get isHungry(): boolean {
    return this.sink.isHungry;
  }

  get waitsForReady(): boolean {
    return this.options.waitForReady === true;
  }

  get receiveBytesMax(): number {
    return this.host.receiveBytesMax;
  }

  /** `startedMs` is when the caller began to wait, by the clock that never jumps. */
  start(startedMs: number): void {
    if (this.isEnded) return;
    const { deadlineMs, signal } = this.options;
    if (signal?.aborted === true) return this.fail(cancelled());
    if (deadlineMs !== undefined) {
      this.deadlineAtMs = startedMs + deadlineMs;
      if (this.deadlineAtMs <= performance.now()) return this.expire();
      this.host.deadlines.add(this, this.deadlineAtMs);
    }
    signal?.addEventListener('abort', this);
    this.host.submit(this);
  }

  /** There is a connection with room. */
  openOn(connection: ClientConnection): void {
    const leftMs = this.deadlineAtMs - performance.now();
    if (leftMs <= 0) return this.expire();
    const stream = connection.open(this, leftMs === Infinity ? '' : timeoutText(leftMs));
    this.stream = stream;
    const { request } = this;
    if (request.kind === 'message') connection.sendWhole(stream, request.message);
    else if (request.kind === 'frame') {
      connection.sendFrame(stream, request.frame);
      connection.sendEnd(stream);
    } else {
      request.pump.opened({
        send: (frame) => connection.sendFrame(stream, frame),
        end: () => connection.sendEnd(stream),
        whenWritable: (wake) => (stream.onWritable = wake),
      });
    }
  }

  // ---- answers -----------------------------------------------------------------------------------

  onHeaders(head: ResponseHead): void {
    if (this.request.kind === 'pump') this.request.pump.answered();
    if (head.encoding !== undefined && head.encoding !== 'identity') {
      const encoding = findEncoding(head.encoding);
      if (encoding === undefined) {
        const text = `Unsupported message encoding "${head.encoding}"`;
        return this.fail(new GrpcStatusError(status.UNIMPLEMENTED, text));
      }
      this.sink.encoding = encoding;
    }
    this.tell(this.options.onHeaders, head.metadata);
  }

  onFrame(frame: Buffer, charge: number): void {
    this.sink.frame(frame, charge);
  }

  consumed(charge: number): void {
    this.stream?.consumed(charge);
  }

  onEnd(error: GrpcStatusError | undefined, trailers: ReceivedMetadata | undefined): void {
    if (this.isEnded) return;
    if (trailers !== undefined) this.tell(this.options.onTrailers, trailers);
    // A server that counts too may be the first to cut, or to say so: the time is over here as well.
    const isEndOfTime =
      error?.code === status.CANCELLED || error?.code === status.DEADLINE_EXCEEDED;
    if (isEndOfTime && performance.now() >= this.deadlineAtMs - DEADLINE_SKEW_MS) this.expire();
    else this.finish(error, false);
  }

  onUnserved(error: GrpcStatusError, isRefusal: boolean): void {
    if (this.isEnded) return;
    this.stream = undefined;
    const { request } = this;
    if (request.kind === 'pump') request.pump.lost();
    const mayRepeat = isRefusal ? this.refusals++ < REFUSALS_MAX : this.goodbyes++ < GOODBYES_MAX;
    if (mayRepeat && (request.kind !== 'pump' || request.pump.canReplay)) this.host.submit(this);
    else this.finish(error, false);
  }

  private tell(
    listener: ((metadata: ReceivedMetadata) => void) | undefined,
    metadata: ReceivedMetadata,
  ): void {
    try {
      listener?.(metadata);
    } catch (error) {
      this.fail(error);
    }
  }

  // ---- ends --------------------------------------------------------------------------------------

  expire(): void {
    this.abort(deadlineExceeded(this.options.deadlineMs ?? 0));
  }

  /** The signal of the caller. */
  handleEvent(): void {
    this.cancel();
  }

  cancel(): void {
    this.abort(cancelled());
  }

  /** Ends the call; what came before is still read. */
  fail(error: unknown): void {
    this.stream?.cancel();
    this.finish(error, false);
  }

  private abort(error: GrpcStatusError): void {
    this.stream?.cancel();
    this.finish(error, true);
  }

  private finish(error: unknown, isNow: boolean): void {
    if (this.isEnded) return;
    this.isEnded = true;
    const { host, request, options } = this;
    if (this.stream === undefined) host.withdraw(this);
    if (this.bucket !== undefined) host.deadlines.remove(this);
    options.signal?.removeEventListener('abort', this);
    if (request.kind === 'pump') request.pump.stop();
    this.sink.end(error, isNow);
  }
}
