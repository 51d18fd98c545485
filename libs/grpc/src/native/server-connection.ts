/**
 * One connection of a server: requests in, answers out, and how it ends.
 *
 *     preface --SETTINGS--> serving --drain, age--> saying goodbye --no streams--> closed
 *                                   --breach, silence, stall--> cut
 *
 * The server looks at it once a second (`look`): whatever has to end because of time ends there.
 */
import { type Socket } from 'node:net';
import {
  ErrorCode,
  Flag,
  FrameType,
  Http2Error,
  PREFACE,
  protocolError,
  SettingId,
  STREAM_ID_MAX,
} from '../http2/constants.js';
import { Http2Connection } from '../http2/connection.js';
import { RESETS_BURST, RESETS_PER_SECOND, STREAM_WINDOW_BYTES } from '../http2/limits.js';
import { RateLimit } from '../http2/rate-limit.js';
import { encodeFrame, type Frame, FRAME_HEADER_BYTES } from '../server/frames.js';
import { peerName } from '../server/listener.js';
import { type MethodTable } from '../server/method-table.js';
import { PingPolicy, TOO_MANY_PINGS } from '../server/ping-policy.js';
import { parseDeadline } from '../server/request-headers.js';
import { type CallHost, type MetadataPairs } from '../server/server-call.js';
import { GrpcStatusError, status, type StatusCode } from '../status.js';
import { type MessageBytes } from '../transport.js';
import { type CallTarget } from './call-target.js';
import { KeepalivePings } from './keepalive-pings.js';
import { KnownHeads } from './known-heads.js';
import { PlainAnswer } from './plain-answer.js';
import { type RequestHead } from './request-head.js';
import { ResponseBlocks } from './response-blocks.js';
import { ServerStream } from './server-stream.js';
import { TrailerCheck } from './trailer-check.js';
import { type ConnectionLimits } from './server-limits.js';
import { type UnaryHost } from './unary-call.js';

/** What a connection needs of its server. */
export interface ConnectionHost extends CallHost, UnaryHost {
  readonly table: MethodTable;
  /** All observers only count. */
  readonly countsOnly: boolean;
  onConnectionClosed(connection: ServerConnection): void;
}

type AnyStream = ServerStream | PlainAnswer;

const DRAIN_PING = Buffer.from('goodbye!', 'latin1');
const NO_PAIRS: MetadataPairs = [];

export class ServerConnection extends Http2Connection<AnyStream> {
  readonly peer: string;
  /** The time, as of the last look. */
  roughNowMs: number;
  private readonly heads: KnownHeads;
  private readonly blocks: ResponseBlocks;
  private readonly pings: PingPolicy;
  private readonly resets: RateLimit;
  private readonly keepalive: KeepalivePings;
  private readonly startedMs: number;
  private prefaceBytes = 0;
  private midwaySinceMs = 0;
  private lastMidway: string | undefined;
  private inboundBytes = 0;
  /** Set when the goodbye began. */
  private drainingSinceMs: number | undefined;
  private goodbyeIsFinal = false;

  constructor(
    socket: Socket,
    readonly host: ConnectionHost,
    private readonly limits: ConnectionLimits,
  ) {
    super(socket, { closed: (error) => this.onClosed(error) });
    this.peer = peerName(socket);
    this.startedMs = this.roughNowMs = this.nowMs();
    this.heads = new KnownHeads(this.decoder, host.table);
    this.blocks = new ResponseBlocks(this.encoder);
    this.pings = new PingPolicy(limits.keepaliveMinTimeMs);
    this.resets = new RateLimit(RESETS_BURST, RESETS_PER_SECOND, this.startedMs);
    this.keepalive = new KeepalivePings(limits.keepalive, this.startedMs);
    this.sendSettings([[SettingId.ConcurrentStreamsMax, limits.concurrentStreamsMax]]);
  }

  // ---- requests ----------------------------------------------------------------------------------

  protected onPreface(chunk: Buffer): Buffer | undefined {
    this.keepalive.heard(this.roughNowMs);
    if (this.prefaceBytes === PREFACE.length) return chunk;
    const bytes = Math.min(PREFACE.length - this.prefaceBytes, chunk.length);
    const expected = PREFACE.subarray(this.prefaceBytes, this.prefaceBytes + bytes);
    if (!chunk.subarray(0, bytes).equals(expected)) {
      throw protocolError('the client does not speak HTTP/2');
    }
    this.prefaceBytes += bytes;
    return this.prefaceBytes === PREFACE.length ? chunk.subarray(bytes) : undefined;
  }

  protected isIdle(streamId: number): boolean {
    if (streamId % 2 === 0) return true;
    return streamId > this.lastRemoteId && !this.goodbyeIsFinal;
  }

  protected override wasForced(id: number): boolean {
    return id > this.lastRemoteId || super.wasForced(id);
  }

  protected override get mayPause(): boolean {
    return true;
  }

  protected onHeaders(id: number, block: Buffer, from: number, to: number, isLast: boolean): void {
    const stream = this.streams.get(id);
    if (stream !== undefined) {
      const trailers = new TrailerCheck();
      this.decoder.decode(block, from, to, trailers);
      return this.onTrailers(stream, trailers.problem, isLast);
    }
    const { head, resolution } = this.heads.read(block, from, to);
    if (id % 2 === 0) throw protocolError(`a client opened stream ${id}`);
    if (id <= this.lastRemoteId) return this.onLateHeaders(id);
    // Streams behind the last that was announced are the client's to send again, elsewhere.
    if (this.goodbyeIsFinal) return;
    this.lastRemoteId = id;
    if (head.problem !== undefined) {
      throw new Http2Error(ErrorCode.ProtocolError, head.problem, id);
    }
    if (head.isTooLong) {
      throw new Http2Error(ErrorCode.EnhanceYourCalm, 'the headers are too long', id);
    }
    if (this.streams.size >= this.limits.concurrentStreamsMax) {
      throw new Http2Error(ErrorCode.RefusedStream, 'too many streams', id);
    }
    if (this.queues.queuedBytes > this.limits.outboundBytesMax) {
      throw new Http2Error(ErrorCode.RefusedStream, 'too many answers wait to be taken', id);
    }
    if (typeof resolution === 'number') return this.answerHttp(id, head, resolution, isLast);
    if (resolution instanceof GrpcStatusError) return this.refuse(id, resolution, isLast);
    this.open(id, head, resolution, isLast);
  }

  private open(id: number, head: RequestHead, target: CallTarget, isLast: boolean): void {
    let deadline: number | undefined;
    if (head.timeout !== undefined) {
      const parsed = parseDeadline(head.timeout, Date.now());
      if (parsed === 'malformed') {
        const words = `malformed grpc-timeout: ${JSON.stringify(head.timeout)}`;
        return this.refuse(id, new GrpcStatusError(status.INTERNAL, words), isLast);
      }
      deadline = parsed;
    }
    const { initialWindowSize } = this.remote;
    const stream = new ServerStream(
      id,
      initialWindowSize,
      STREAM_WINDOW_BYTES,
      this,
      head,
      target,
      deadline,
    );
    this.streams.set(id, stream);
    stream.remoteEnded = isLast;
    stream.begin();
    if (isLast) this.closeIfEnded(stream);
  }

  /** Headers behind the messages: nothing of gRPC, but they may end a request. */
  private onTrailers(stream: AnyStream, problem: string | undefined, isLast: boolean): void {
    const { id } = stream;
    if (stream.remoteEnded) return this.strayFrame(id, 'HEADERS');
    const wrong = isLast ? problem : 'trailers that end nothing';
    if (wrong !== undefined) throw new Http2Error(ErrorCode.ProtocolError, wrong, id);
    stream.remoteEnded = true;
    stream.onData(NO_BYTES, 0, 0, true);
    this.closeIfEnded(stream);
  }

  private onLateHeaders(id: number): void {
    if (this.wasForced(id)) return;
    throw new Http2Error(ErrorCode.StreamClosed, `stream ${id} has ended`);
  }

  /** What is no call of gRPC gets an answer that people can read. */
  private answerHttp(id: number, head: RequestHead, code: number, isLast: boolean): void {
    const { initialWindowSize } = this.remote;
    const { contentLength } = head;
    const stream = new PlainAnswer(id, initialWindowSize, STREAM_WINDOW_BYTES, this, contentLength);
    if (isLast) stream.checkLength(true);
    this.streams.set(id, stream);
    stream.remoteEnded = isLast;
    const body = httpText(code);
    const isHead = head.method === 'HEAD';
    this.writeHeaders(id, this.blocks.http(code, body.length), isHead);
    if (isHead) return this.localEnd(stream);
    stream.end = 'data';
    this.queues.send(stream, body);
  }

  private refuse(id: number, error: GrpcStatusError, isLast: boolean): void {
    this.writeHeaders(id, this.blocks.trailersOnly(error.code, error.message, NO_PAIRS), true);
    if (!isLast) this.resetStream(id, ErrorCode.NoError, 'answered');
  }

  protected mayReset(): boolean {
    return this.resets.take(this.nowMs());
  }

  // ---- answers -----------------------------------------------------------------------------------

  /** Headers, one message and the status OK. */
  sendAnswer(
    stream: ServerStream,
    headers: MetadataPairs,
    message: MessageBytes,
    trailers: MetadataPairs,
  ): void {
    const bytes = message.length + FRAME_HEADER_BYTES;
    this.writeHeaders(stream.id, this.blocks.headers('identity', headers), false);
    if (this.queues.fits(stream, bytes)) {
      this.queues.spend(stream, bytes);
      this.out.message(0, stream.id, message);
    } else {
      this.queues.send(stream, encodeFrame(message, false));
    }
    this.sendStatus(stream, true, status.OK, '', trailers);
  }

  sendHeaders(stream: ServerStream, encoding: string, pairs: MetadataPairs): void {
    this.writeHeaders(stream.id, this.blocks.headers(encoding, pairs), false);
  }

  sendData(stream: ServerStream, frame: Frame): boolean {
    return this.queues.send(stream, frame);
  }

  sendStatus(
    stream: ServerStream,
    headersSent: boolean,
    code: StatusCode,
    message: string,
    trailers: MetadataPairs,
  ): void {
    if (stream.queuedBytes === 0) {
      this.writeStatus(stream, headersSent, code, message, trailers);
      this.localEnd(stream);
      return;
    }
    this.queues.finish(stream, () =>
      this.writeStatus(stream, headersSent, code, message, trailers),
    );
  }

  private writeStatus(
    stream: ServerStream,
    headersSent: boolean,
    code: StatusCode,
    message: string,
    trailers: MetadataPairs,
  ): void {
    const block = headersSent
      ? this.blocks.trailers(code, message, trailers)
      : this.blocks.trailersOnly(code, message, trailers);
    this.writeHeaders(stream.id, block, true);
  }

  protected override localEnd(stream: AnyStream): void {
    stream.ended();
    super.localEnd(stream);
    // The rest of the request is of no interest; the client need not send it.
    if (!stream.remoteEnded && !stream.lingers)
      this.resetStream(stream.id, ErrorCode.NoError, 'answered');
  }

  private writeHeaders(id: number, block: Buffer, isLast: boolean): void {
    this.pings.onSent();
    this.out.headers(isLast ? Flag.EndStream : 0, id, block, this.remote.frameSizeMax);
  }

  // ---- memory ------------------------------------------------------------------------------------

  /** So many more bytes wait, or fewer; false when there are too many of them. */
  hold(bytes: number): boolean {
    this.inboundBytes += bytes;
    return this.inboundBytes <= this.limits.inboundBytesMax;
  }

  // ---- time and ends -----------------------------------------------------------------------------

  /** Ends what has to end because of time. */
  look(nowMs: number): void {
    if (this.isOver) return;
    this.roughNowMs = nowMs;
    if (this.isLate(nowMs)) {
      return this.breakOff(new Http2Error(ErrorCode.SettingsTimeout, 'the client is too slow'));
    }
    if (this.isStalled(nowMs, this.limits.writeStallMs))
      return this.destroy(new Error('the client takes nothing'));
    const ping = this.keepalive.look(nowMs);
    if (ping === 'lost') return this.destroy(new Error('the client does not answer pings'));
    if (ping) this.out.frame(FrameType.Ping, 0, 0, ping);
    for (const stream of this.streams.values()) {
      if (stream.isIncomplete && nowMs - stream.touchedMs >= this.limits.requestStallMs) {
        const text = `nothing came of the request for ${this.limits.requestStallMs} ms`;
        stream.giveUp(new GrpcStatusError(status.DEADLINE_EXCEEDED, text));
      } else if (stream.queuedBytes > 0) this.lookAtReader(stream, nowMs);
    }
    this.lookAtAge(nowMs);
  }

  /** An answer that is not taken is given up, sooner when nothing else would end it. */
  private lookAtReader(stream: AnyStream, nowMs: number): void {
    const { answerStallMs, readerStallMs } = this.limits;
    const limitMs = stream.end === undefined ? readerStallMs : answerStallMs;
    if (stream.stuckMs(nowMs) < limitMs) return;
    this.resetStream(stream.id, ErrorCode.Cancel, 'nobody takes the answer');
  }

  private isLate(nowMs: number): boolean {
    const { midway } = this;
    if (midway === undefined || midway !== this.lastMidway) {
      this.lastMidway = midway;
      this.midwaySinceMs = nowMs;
      return false;
    }
    const { requestStallMs, handshakeTimeoutMs } = this.limits;
    return nowMs - this.midwaySinceMs >= (this.isReady ? requestStallMs : handshakeTimeoutMs);
  }

  private lookAtAge(nowMs: number): void {
    const { ageMaxMs, ageGraceMs } = this.limits;
    if (this.drainingSinceMs === undefined) {
      if (nowMs - this.startedMs >= ageMaxMs) this.sayGoodbye('max_age');
    } else if (
      nowMs - this.drainingSinceMs >= ageGraceMs &&
      ageGraceMs > 0 &&
      ageMaxMs < Infinity
    ) {
      this.destroy();
    } else if (!this.goodbyeIsFinal && nowMs - this.drainingSinceMs >= GOODBYE_PING_MS) {
      this.sayFinalGoodbye();
    }
  }

  /**
   * Asks the client to go elsewhere. What it sent before it heard of that is still served: only the
   * answer to a ping tells that it has heard.
   */
  sayGoodbye(text = ''): void {
    if (this.isOver || this.drainingSinceMs !== undefined) return;
    this.drainingSinceMs = this.nowMs();
    this.goAway(STREAM_ID_MAX, ErrorCode.NoError, text);
    this.out.frame(FrameType.Ping, 0, 0, DRAIN_PING);
  }

  private sayFinalGoodbye(): void {
    if (this.goodbyeIsFinal) return;
    this.goodbyeIsFinal = true;
    this.goAway(this.lastRemoteId, ErrorCode.NoError, '');
    this.endIfDone();
  }

  private endIfDone(): void {
    if (this.goodbyeIsFinal && this.openStreams === 0 && !this.isOver) this.endSocket();
  }

  protected onStreamClosed(): void {
    if (this.goodbyeIsFinal) this.endIfDone();
  }

  protected onGoAway(): void {
    // A client that says goodbye closes the connection when it has its answers.
  }

  protected onPing(): void {
    if (this.limits.keepaliveMinTimeMs <= 0 || !this.pings.onPing(this.nowMs())) return;
    this.host.logger.warn({ peer: this.peer }, 'a client pings too often');
    throw new Http2Error(ErrorCode.EnhanceYourCalm, TOO_MANY_PINGS);
  }

  protected onPong(payload: Buffer): void {
    if (payload.equals(DRAIN_PING)) this.sayFinalGoodbye();
    else this.keepalive.answered(payload, this.nowMs());
  }

  private onClosed(error: Error | undefined): void {
    if (error !== undefined) {
      this.host.logger.info({ err: error, peer: this.peer }, 'a connection failed');
    }
    this.host.onConnectionClosed(this);
  }
}

const NO_BYTES = Buffer.alloc(0);
const HTTP_TEXT = Buffer.from('Calls of gRPC are POST requests of type application/grpc.\n');

function httpText(code: number): Buffer {
  return Buffer.concat([Buffer.from(`${code}: `), HTTP_TEXT]);
}

/** How long the answer to the ping of a goodbye is waited for. */
const GOODBYE_PING_MS = 5000;
