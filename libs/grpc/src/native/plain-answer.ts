/**
 * A stream whose request is no call of gRPC, or no longer one: it has an answer of HTTP, and what still
 * comes of the request is counted and dropped.
 *
 * The answer is sent at once. The stream ends when the request does, when the client goes on sending
 * although it has its answer, or when nothing comes any more.
 */
import { ErrorCode, Http2Error } from '../http2/constants.js';
import { Http2Stream } from '../http2/stream.js';
import { type ServerConnection } from './server-connection.js';

export class PlainAnswer extends Http2Stream {
  readonly lingers = true;
  touchedMs: number;
  private bodyBytes = 0;

  constructor(
    id: number,
    sendWindow: number,
    receiveWindow: number,
    private readonly connection: ServerConnection,
    private readonly contentLength: number | undefined,
  ) {
    super(id, sendWindow, receiveWindow);
    this.touchedMs = connection.roughNowMs;
  }

  get isIncomplete(): boolean {
    return !this.remoteEnded;
  }

  onData(_bytes: Buffer, from: number, to: number, isLast: boolean): void {
    const length = to - from;
    this.bodyBytes += length;
    this.checkLength(isLast);
    if (isLast) return;
    if (this.localEnded) this.giveUp();
    else this.connection.take(this, length);
  }

  /** Throws Http2Error when the content cannot have the length that was said. */
  checkLength(isLast: boolean): void {
    const { contentLength, bodyBytes, id } = this;
    if (contentLength === undefined || contentLength === bodyBytes) return;
    if (!isLast && bodyBytes < contentLength) return;
    const text = 'the content-length is not that of the content';
    throw new Http2Error(ErrorCode.ProtocolError, text, id);
  }

  giveUp(): void {
    this.connection.resetStream(this.id, ErrorCode.NoError, 'answered');
  }

  onReset(): void {
    // Nobody waits for it.
  }

  ended(): void {
    // There is nothing to give back.
  }
}
