/**
 * One stream of a client: from header blocks and DATA to frames of gRPC and the end of a call.
 *
 *     opened --headers--> answering --trailers--> over
 *        \--trailers alone, a cut, the end of the connection, the caller's own end--> over
 *
 * Bytes that nobody has read yet are not given back to the server's window, but for those of a frame
 * that is not whole while somebody waits for it. Must never tell its user of more than one end.
 */
import { ErrorCode, Http2Error } from '../http2/constants.js';
import { STREAM_WINDOW_BYTES } from '../http2/limits.js';
import { Http2Stream } from '../http2/stream.js';
import { type MessageEncoding } from '../encoding/encoding.js';
import { type ReceivedMetadata } from '../metadata.js';
import { FRAME_HEADER_BYTES, FrameDecoder } from '../server/frames.js';
import { type MetadataPairs } from '../server/server-call.js';
import { GrpcStatusError, status } from '../status.js';
import { type ClientConnection } from './client-connection.js';
import { CHUNK_SHARE_MIN } from './client-limits.js';
import { type ResponseHead } from './client-response-heads.js';
import { connectionLost, entriesOf, httpStatusError, resetError } from './client-status.js';

/** The call that a stream is for. */
export interface StreamUser {
  readonly path: string;
  readonly encoding: MessageEncoding;
  readonly pairs: MetadataPairs;
  /** The answer is one message: it is gathered whole, whoever reads. */
  readonly wantsOne: boolean;
  /** Everything that came has been read. */
  readonly isHungry: boolean;
  onHeaders(head: ResponseHead): void;
  /** A whole frame. `charge` is given back by `consumed` when the frame has been read. */
  onFrame(frame: Buffer, charge: number): void;
  /** The call is over; `trailers` if the server said so. */
  onEnd(error: GrpcStatusError | undefined, trailers: ReceivedMetadata | undefined): void;
  /** The server did not look at the call, and says so. */
  onUnserved(error: GrpcStatusError, isRefusal: boolean): void;
}

const OK_STATUS = 200;
const CONTENT_TYPE = 'application/grpc';

export class ClientStream extends Http2Stream {
  /** Nobody waits for the end of it any more. */
  isOver = false;
  /** What the server did wrong, where that is why the stream was cut. */
  breach: string | undefined;
  private hasHead = false;
  private decoder: FrameDecoder | undefined;
  /** Bytes of an unfinished frame that were given back ahead of its end. */
  private aheadBytes = 0;

  constructor(
    id: number,
    sendWindow: number,
    private readonly connection: ClientConnection,
    private readonly user: StreamUser,
  ) {
    super(id, sendWindow, STREAM_WINDOW_BYTES);
  }

  /** The caller has left. */
  cancel(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.decoder = undefined;
    if (!this.closed) this.connection.resetStream(this.id, ErrorCode.Cancel, 'cancelled');
  }

  // ---- in ----------------------------------------------------------------------------------------

  onHead(head: ResponseHead, isLast: boolean): void {
    if (this.isOver) return;
    if (this.hasHead) {
      if (!isLast) throw this.wrong('trailers that end nothing');
      return this.finish(head);
    }
    if (head.httpStatus === 0) throw this.wrong('an answer without :status');
    if (head.httpStatus < OK_STATUS) {
      if (isLast) throw this.wrong('an answer that ends before it begins');
      return;
    }
    if (isLast) return this.finish(head);
    this.hasHead = true;
    if (head.httpStatus === OK_STATUS && head.contentType?.startsWith(CONTENT_TYPE) === true) {
      return this.user.onHeaders(head);
    }
    this.settle(httpStatusError(head.httpStatus, head.metadata), head.metadata);
  }

  onData(bytes: Buffer, from: number, to: number, isLast: boolean): void {
    const length = to - from;
    if (this.isOver) return this.connection.take(this, length);
    if (!this.hasHead) throw this.wrong('DATA before headers');
    if (length > 0) this.gather(bytes, from, to);
    if (!isLast || this.isOver) return;
    // A server that is killed may end its streams so; it is no answer.
    this.settle(new GrpcStatusError(status.UNAVAILABLE, 'the server sent no status'), undefined);
  }

  private gather(bytes: Buffer, from: number, to: number): void {
    const { user, connection } = this;
    if (user.wantsOne) connection.take(this, to - from);
    if (this.decoder === undefined && this.isWholeFrame(bytes, from, to)) {
      const frame = bytes.subarray(from, to);
      const isSmall = user.wantsOne && frame.length * CHUNK_SHARE_MIN < bytes.length;
      user.onFrame(isSmall ? Buffer.from(frame) : frame, frame.length);
      return;
    }
    this.decoder ??= new FrameDecoder(connection.receiveBytesMax, this.onTooLarge);
    for (const frame of this.decoder.write(bytes.subarray(from, to))) {
      const charge = frame.length - this.aheadBytes;
      this.aheadBytes = 0;
      user.onFrame(frame, charge);
      if (this.isOver) return;
    }
    if (!user.wantsOne && user.isHungry) this.returnPartial();
  }

  private isWholeFrame(bytes: Buffer, from: number, to: number): boolean {
    const length = to - from - FRAME_HEADER_BYTES;
    return (
      length >= 0 &&
      bytes.readUInt32BE(from + 1) === length &&
      length <= this.connection.receiveBytesMax
    );
  }

  private readonly onTooLarge = (bytes: number): void => {
    const text = `Received message larger than max (${bytes} vs ${this.connection.receiveBytesMax})`;
    this.settle(new GrpcStatusError(status.RESOURCE_EXHAUSTED, text), undefined);
  };

  /** A frame has been read. */
  consumed(charge: number): void {
    if (this.closed || this.user.wantsOne) return;
    this.connection.take(this, charge);
    if (this.user.isHungry) this.returnPartial();
  }

  private returnPartial(): void {
    const bytes = (this.decoder?.heldBytes ?? 0) - this.aheadBytes;
    if (bytes <= 0) return;
    this.aheadBytes += bytes;
    this.connection.take(this, bytes);
  }

  // ---- ends --------------------------------------------------------------------------------------

  private finish(head: ResponseHead): void {
    const { metadata, message } = head;
    if (head.status === undefined) {
      const httpStatus = head.httpStatus === 0 ? OK_STATUS : head.httpStatus;
      return this.settle(httpStatusError(httpStatus, metadata), metadata);
    }
    if (head.status !== status.OK) {
      const error = new GrpcStatusError(head.status, message, entriesOf(metadata));
      return this.settle(error, metadata);
    }
    if (this.decoder?.isMidway === true) {
      const text = 'the answer ends in the middle of a message';
      return this.settle(new GrpcStatusError(status.INTERNAL, text), metadata);
    }
    this.settle(undefined, metadata);
  }

  private settle(error: GrpcStatusError | undefined, trailers: ReceivedMetadata | undefined): void {
    this.isOver = true;
    this.decoder = undefined;
    // What is left of the request is of no interest, nor is what is left of an answer.
    if (!this.closed && !(this.localEnded && this.remoteEnded)) {
      this.connection.resetStream(this.id, ErrorCode.Cancel, 'over');
    }
    this.user.onEnd(error, trailers);
  }

  onReset(code: number): void {
    if (this.isOver) return;
    const { connection, user } = this;
    this.isOver = true;
    this.decoder = undefined;
    if (connection.isOver) user.onEnd(connectionLost(connection.lostBy), undefined);
    else if (this.breach !== undefined) {
      user.onEnd(new GrpcStatusError(status.INTERNAL, this.breach), undefined);
    } else if (code === ErrorCode.RefusedStream && !this.hasHead) {
      user.onUnserved(resetError(code), true);
    } else user.onEnd(resetError(code), undefined);
  }

  /** The server said goodbye before it looked at this stream. */
  onUnserved(why: string): void {
    if (this.isOver) return;
    this.isOver = true;
    this.user.onUnserved(new GrpcStatusError(status.UNAVAILABLE, why), false);
  }

  private wrong(text: string): Http2Error {
    return new Http2Error(ErrorCode.ProtocolError, text, this.id);
  }
}
