/**
 * One stream of a server: from DATA to messages, and from answers to frames.
 *
 * A unary request that came whole, plain and to a method without guards is handed to a `UnaryCall` as
 * a view of what was read; everything else goes through a `ServerCall`, which asks for messages one by
 * one. Bytes that nobody has asked for yet are not given back to the client's window.
 */
import { ErrorCode, Http2Error } from '../http2/constants.js';
import { WAITING_MESSAGE_COST_BYTES } from '../http2/limits.js';
import { Http2Stream } from '../http2/stream.js';
import { type Frame, FRAME_HEADER_BYTES, FrameDecoder, unpinned } from '../server/frames.js';
import { ServerCall, type CallWire, type MetadataPairs } from '../server/server-call.js';
import { GrpcStatusError, status, type StatusCode } from '../status.js';
import { type MessageBytes } from '../transport.js';
import { type CallTarget } from './call-target.js';
import { type RequestHead } from './request-head.js';
import { type ServerConnection } from './server-connection.js';
import { UnaryCall, type UnaryWire } from './unary-call.js';

export class ServerStream extends Http2Stream implements CallWire, UnaryWire {
  readonly lingers = false;
  /** When something last came of a request that is not whole. */
  touchedMs = 0;
  private call: ServerCall | undefined;
  private unary: UnaryCall | undefined;
  private decoder: FrameDecoder | undefined;
  /** Whole messages that nobody has asked for yet, from `nextFrame` on. */
  private frames: Buffer[] = [];
  private nextFrame = 0;
  private wanted = false;
  /** What the client's window has not got back. */
  private inboundBytes = 0;
  /** Memory of messages that wait, and what the connection was told of it. */
  private waitingCost = 0;
  private heldBytes = 0;
  private bodyBytes = 0;
  private headersSent = false;
  /** All of the request has been gathered. */
  private complete = false;
  private wasReset = false;
  private readonly isPlainUnary: boolean;

  constructor(
    id: number,
    sendWindow: number,
    receiveWindow: number,
    private readonly connection: ServerConnection,
    private readonly head: RequestHead,
    private readonly target: CallTarget,
    private readonly deadline: number | undefined,
  ) {
    super(id, sendWindow, receiveWindow);
    this.isPlainUnary = target.isPlainUnary && connection.host.countsOnly;
    this.touchedMs = connection.roughNowMs;
  }

  get peer(): string {
    return this.connection.peer;
  }

  /** Whether the request is still on its way and nothing else can be done until it is there. */
  get isIncomplete(): boolean {
    return !this.remoteEnded && !this.target.isStreaming;
  }

  /** The headers have come. */
  begin(): void {
    if (!this.isPlainUnary) this.beginCall();
    if (this.remoteEnded) this.onRequestEnd();
  }

  onData(bytes: Buffer, from: number, to: number, isLast: boolean): void {
    const length = to - from;
    this.bodyBytes += length;
    if (this.call === undefined && isLast && this.bodyBytes === length) {
      if (this.isWholeMessage(bytes, from, to) && this.hasRightLength()) {
        this.runPlain(bytes.subarray(from + FRAME_HEADER_BYTES, to));
        return;
      }
    }
    // A message that comes in pieces, or needs work, is gathered for a call that asks for it.
    if (this.call === undefined) this.beginCall();
    if (this.localEnded || this.closed) return this.connection.take(this, length);
    this.gather(bytes, from, to);
    if (isLast) this.onRequestEnd();
  }

  onReset(): void {
    this.wasReset = true;
    this.dropInbound();
    this.unary?.cancel();
    this.call?.onCancel();
  }

  /** Refuses a stream that stands still or takes too much. */
  giveUp(error: GrpcStatusError): void {
    if (this.call === undefined) this.beginCall();
    this.call?.refuse(error);
  }

  // ---- plain unary calls -------------------------------------------------------------------------

  private isWholeMessage(bytes: Buffer, from: number, to: number): boolean {
    const length = to - from - FRAME_HEADER_BYTES;
    return (
      length >= 0 &&
      bytes[from] === 0 &&
      bytes.readUInt32BE(from + 1) === length &&
      length <= this.connection.host.receiveBytesMax
    );
  }

  private runPlain(request: Buffer): void {
    const { method, handleUnary } = this.target;
    if (handleUnary === undefined) return;
    const { connection, deadline } = this;
    const call = new UnaryCall(connection.host, this, method, this.head.metadata, deadline);
    this.unary = call;
    call.run(handleUnary, request);
  }

  answer(headers: MetadataPairs, message: MessageBytes, trailers: MetadataPairs): void {
    if (this.closed) return;
    this.connection.sendAnswer(this, headers, message, trailers);
  }

  refuse(headers: MetadataPairs, code: StatusCode, message: string, trailers: MetadataPairs): void {
    if (this.closed) return;
    if (headers.length > 0) this.sendHeaders(headers);
    this.sendStatus(code, message, trailers);
  }

  // ---- all other calls ---------------------------------------------------------------------------

  private beginCall(): void {
    const { connection, target, head } = this;
    const { host } = connection;
    this.call = new ServerCall(host, this, {
      method: target.method,
      metadata: head.metadata,
      peer: connection.peer,
      deadline: this.deadline,
      requestEncoding: target.requestEncoding,
      answerEncoding: target.answerEncoding,
    });
    this.call.begin();
  }

  private gather(bytes: Buffer, from: number, to: number): void {
    const { connection } = this;
    const { receiveBytesMax } = connection.host;
    this.decoder ??= new FrameDecoder(receiveBytesMax, (messageBytes) => {
      const text = `grpc: received message larger than max (${messageBytes} vs. ${receiveBytesMax})`;
      this.call?.refuse(new GrpcStatusError(status.RESOURCE_EXHAUSTED, text));
    });
    this.touchedMs = connection.roughNowMs;
    this.inboundBytes += to - from;
    for (const frame of this.decoder.write(bytes.subarray(from, to))) {
      const isNext = this.wanted && this.nextFrame === this.frames.length;
      this.frames.push(isNext ? frame : unpinned(frame));
      this.waitingCost += frame.length + WAITING_MESSAGE_COST_BYTES;
      this.deliver();
      if (this.localEnded || this.closed) return;
    }
    this.deliver();
    if (this.account()) return;
    const text = 'too many messages wait on this connection';
    this.call?.refuse(new GrpcStatusError(status.RESOURCE_EXHAUSTED, text));
  }

  /** Tells the connection how much memory waits here; false when that is too much. */
  private account(): boolean {
    const heldBytes = this.waitingCost + (this.decoder?.heldBytes ?? 0);
    const more = heldBytes - this.heldBytes;
    this.heldBytes = heldBytes;
    return this.connection.hold(more);
  }

  private onRequestEnd(): void {
    if (this.call === undefined) this.beginCall();
    if (this.localEnded || this.closed) return;
    this.complete = true;
    if (!this.hasRightLength()) {
      const text = 'the content-length is not that of the content';
      throw new Http2Error(ErrorCode.ProtocolError, text, this.id);
    }
    if (this.decoder?.isMidway === true) {
      const text = 'the request ends in the middle of a message';
      this.call?.refuse(new GrpcStatusError(status.INTERNAL, text));
      return;
    }
    this.deliver();
  }

  pull(): void {
    this.wanted = true;
    this.deliver();
  }

  /** Hands over the next frame or the end, if it was asked for and is there. */
  private deliver(): void {
    while (this.wanted && this.nextFrame < this.frames.length) {
      this.wanted = false;
      const frame = this.frames[this.nextFrame++];
      if (frame === undefined) break;
      this.waitingCost -= frame.length + WAITING_MESSAGE_COST_BYTES;
      // Slots that are not in use are given back in portions.
      if (this.nextFrame * 2 > this.frames.length) {
        this.frames = this.frames.slice(this.nextFrame);
        this.nextFrame = 0;
      }
      this.call?.onFrame(frame);
    }
    if (this.frames.length > 0) return;
    // What is left is part of a message that somebody waits for.
    this.returnInbound();
    if (!this.wanted || !this.complete) return;
    this.wanted = false;
    if (this.target.isStreaming) setImmediate(this.halfClose);
    else this.call?.onHalfClose();
  }

  /**
   * Clients of node:http2 cancel by an orderly end with a reset behind it: to take that for the end of
   * the messages would make a truncated upload a complete one.
   */
  private readonly halfClose = (): void => {
    if (!this.wasReset) this.call?.onHalfClose();
  };

  private returnInbound(): void {
    const { inboundBytes } = this;
    if (inboundBytes === 0) return;
    this.inboundBytes = 0;
    this.account();
    this.connection.take(this, inboundBytes);
  }

  private dropInbound(): void {
    this.inboundBytes = 0;
    this.frames = [];
    this.nextFrame = 0;
    this.waitingCost = 0;
    this.decoder = undefined;
    this.account();
  }

  private hasRightLength(): boolean {
    const { contentLength } = this.head;
    return contentLength === undefined || contentLength === this.bodyBytes;
  }

  // ---- out ---------------------------------------------------------------------------------------

  sendHeaders(pairs: MetadataPairs): void {
    if (this.closed) return;
    this.headersSent = true;
    this.connection.sendHeaders(this, this.target.answerEncoding.name, pairs);
  }

  sendFrame(frame: Frame, onWritable: () => void): boolean {
    if (this.connection.sendData(this, frame)) return true;
    this.onWritable = onWritable;
    return false;
  }

  sendStatus(code: StatusCode, message: string, trailers: MetadataPairs): void {
    if (this.closed) return;
    this.connection.sendStatus(this, this.headersSent, code, message, trailers);
  }

  reset(): void {
    if (this.closed) return;
    this.dropInbound();
    this.connection.resetStream(this.id, ErrorCode.Cancel, 'given up');
  }

  /** Everything was sent; what still comes is of no interest. */
  ended(): void {
    if (this.decoder !== undefined) this.dropInbound();
  }
}
