/**
 * What both ends of an HTTP/2 connection do: frames in, frames out, windows, settings, pings.
 *
 *     socket --chunk--> parser --frame--> here --> streams (DATA), the end's own class (HEADERS)
 *     streams --sendData--> windows --> output --one write a turn--> socket
 *
 * A breach of the protocol or of a limit (`limits.ts`) cuts a stream or says goodbye to the connection;
 * nothing that the other end sends makes this end throw.
 */
import { type Socket } from 'node:net';
import {
  ErrorCode,
  Flag,
  FRAME_SIZE_DEFAULT,
  FrameType,
  Http2Error,
  protocolError,
  SettingId,
  STREAM_ID_MAX,
  WINDOW_DEFAULT,
  WINDOW_MAX,
} from './constants.js';
import { FrameOutput } from './frame-output.js';
import { FrameParser, type FrameSink } from './frame-parser.js';
import { HeaderBlocks } from './header-blocks.js';
import { HpackDecoder } from './hpack-decoder.js';
import { HpackEncoder } from './hpack-encoder.js';
import {
  CONNECTION_WINDOW_BYTES,
  CONTROL_FRAMES_BURST,
  CONTROL_FRAMES_PER_SECOND,
  HEADER_LIST_BYTES_MAX,
  RESET_STREAMS_REMEMBERED,
  STREAM_WINDOW_BYTES,
  WRITE_STALL_MS,
} from './limits.js';
import { RateLimit } from './rate-limit.js';
import { SendQueues } from './send-queues.js';
import { applySettings, defaultSettings, encodeSettings } from './settings.js';
import { type Http2Stream } from './stream.js';

export interface ConnectionEvents {
  /** Everything is over; told once. `error` when it did not end in order. */
  closed(error: Error | undefined): void;
}

const PING_BYTES = 8;

export abstract class Http2Connection<S extends Http2Stream> implements FrameSink {
  protected readonly streams = new Map<number, S>();
  protected readonly out: FrameOutput;
  protected readonly decoder = new HpackDecoder();
  protected readonly encoder = new HpackEncoder();
  protected readonly remote = defaultSettings();
  protected readonly queues: SendQueues<S>;
  /** Highest stream of the other end that was looked at. */
  protected lastRemoteId = 0;
  /** Streams up to there are served by the other end; all of them before it says goodbye. */
  protected goneAfter = STREAM_ID_MAX;
  protected saidGoodbye = false;
  protected isClosed = false;
  /** Why everything is over, where it did not end in order. */
  protected failure: Error | undefined;
  private readonly parser = new FrameParser(FRAME_SIZE_DEFAULT, this);
  private readonly headerBlocks = new HeaderBlocks();
  private readonly control: RateLimit;
  private readonly forcedEnds = new Set<number>();
  private receiveWindow = CONNECTION_WINDOW_BYTES;
  private received = 0;
  private hasSettings = false;
  private settingsAcked = false;
  private stalledSinceMs: number | undefined;
  private lastBytesOut = -1;
  private spentAtPing = 0;

  constructor(
    protected readonly socket: Socket,
    private readonly events: ConnectionEvents,
  ) {
    this.out = new FrameOutput(socket, () => this.onDrain());
    this.queues = new SendQueues(this.out, this.remote, (stream) => this.localEnd(stream));
    this.control = new RateLimit(CONTROL_FRAMES_BURST, CONTROL_FRAMES_PER_SECOND, this.nowMs());
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.onChunk(chunk));
    socket.on('error', (error) => this.finish(error));
    socket.on('close', () => this.finish(undefined));
    socket.on('end', () => this.onSocketEnd());
  }

  /** Streams that are open now. */
  get openStreams(): number {
    return this.streams.size;
  }

  get isOver(): boolean {
    return this.isClosed;
  }

  /** The other end sent its settings. */
  protected get isReady(): boolean {
    return this.hasSettings;
  }

  /**
   * Names what has begun to arrive and is not whole; undefined when there is nothing. The same name
   * later means that it is still that very thing.
   */
  protected get midway(): string | undefined {
    if (!this.hasSettings) return 'settings';
    if (this.headerBlocks.isOpen) return `block ${this.headerBlocks.begun}`;
    return this.parser.isInFrame ? `frame ${this.parser.frames}` : undefined;
  }

  protected get isMidway(): boolean {
    return this.midway !== undefined;
  }

  protected nowMs(): number {
    return performance.now();
  }

  /** Announces what differs from the defaults, and opens the window of the connection. */
  protected sendSettings(extra: readonly (readonly [id: number, value: number])[]): void {
    const payload = encodeSettings([
      [SettingId.InitialWindowSize, STREAM_WINDOW_BYTES],
      [SettingId.HeaderListSizeMax, HEADER_LIST_BYTES_MAX],
      ...extra,
    ]);
    this.out.frame(FrameType.Settings, 0, 0, payload);
    this.out.frameOfNumber(FrameType.WindowUpdate, 0, CONNECTION_WINDOW_BYTES - WINDOW_DEFAULT);
  }

  // ---- what the two ends do differently ----------------------------------------------------------

  /** A whole header block. It has to be decoded even if its stream is of no interest. */
  protected abstract onHeaders(
    streamId: number,
    block: Buffer,
    from: number,
    to: number,
    isLast: boolean,
  ): void;
  /** Whether a stream was never opened by whoever may open it. */
  protected abstract isIdle(streamId: number): boolean;
  /** The other end cut a stream; false when it does that too often. */
  protected abstract mayReset(): boolean;
  protected abstract onGoAway(lastId: number, code: number, text: string): void;
  protected abstract onPing(): void;
  protected abstract onPong(payload: Buffer): void;
  protected abstract onStreamClosed(stream: S): void;
  /** Bytes before the first frame; gives what follows them, undefined while there is more to come. */
  protected abstract onPreface(chunk: Buffer): Buffer | undefined;

  /** The other end has said what holds on its side, for the first time or anew. */
  protected onRemoteSettings(): void {
    // Most have nothing to do then.
  }

  /** Whether nobody here waits any longer for the end of a stream. */
  protected hasEnded(stream: S): boolean {
    return stream.localEnded;
  }

  private onDrain(): void {
    if (this.isClosed) return;
    this.queues.resume();
    if (!this.out.isCongested) this.socket.resume();
  }

  // ---- in ----------------------------------------------------------------------------------------

  private onChunk(chunk: Buffer): void {
    if (this.isClosed) return;
    this.out.hold();
    try {
      const rest = this.onPreface(chunk);
      if (rest !== undefined && rest.length > 0) this.parser.push(rest);
    } catch (error) {
      if (!(error instanceof Http2Error)) throw error;
      this.breakOff(error);
    } finally {
      this.out.release();
    }
    // Whoever asks without reading the answers waits until they have left.
    if (this.mayPause && this.out.isCongested && !this.isClosed) this.socket.pause();
  }

  /**
   * Whether this end stops reading while the other does not take what it is sent. Two ends that both
   * did so would wait for each other: the one whose output is the answer to its input does.
   */
  protected get mayPause(): boolean {
    return false;
  }

  frame(type: number, flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (this.isClosed) return;
    try {
      this.dispatch(type, flags, id, bytes, from, to);
    } catch (error) {
      if (!(error instanceof Http2Error) || error.streamId === 0) throw error;
      this.cutStream(error);
    }
  }

  /** A breach on one stream cuts it; one that nobody opened cannot be cut. */
  private cutStream(error: Http2Error): void {
    const { streamId, code, message } = error;
    if (this.isIdle(streamId)) throw new Http2Error(code, message);
    // Whoever makes this end cut its streams pays as for cutting them itself.
    if (code !== ErrorCode.RefusedStream && !this.mayReset()) throw tooManyResets();
    this.resetStream(streamId, code, message);
  }

  private dispatch(
    type: number,
    flags: number,
    id: number,
    bytes: Buffer,
    from: number,
    to: number,
  ): void {
    if (!this.hasSettings && type !== FrameType.Settings) {
      throw protocolError('the first frame is not SETTINGS');
    }
    if (this.headerBlocks.isOpen && !this.headerBlocks.continues(type, id)) {
      throw protocolError('a header block is interrupted by another frame');
    }
    switch (type) {
      case FrameType.Data:
        return this.onDataFrame(flags, id, bytes, from, to);
      case FrameType.Headers:
      case FrameType.Continuation:
        return this.onHeaderFrame(type, flags, id, bytes, from, to);
      case FrameType.WindowUpdate:
        return this.onWindowUpdate(id, bytes, from, to);
      case FrameType.RstStream:
        return this.onRstStream(id, bytes, from, to);
      case FrameType.Settings:
        return this.onSettings(flags, id, bytes, from, to);
      case FrameType.Ping:
        return this.onPingFrame(flags, id, bytes, from, to);
      case FrameType.GoAway:
        return this.onGoAwayFrame(id, bytes, from, to);
      case FrameType.PushPromise:
        throw protocolError('PUSH_PROMISE was not allowed');
      case FrameType.Priority:
        this.headerBlocks.checkPriority(id, bytes, from, to);
        return this.countControl();
      default:
        return this.countControl();
    }
  }

  private onDataFrame(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (id === 0) throw protocolError('DATA on stream 0');
    const length = to - from;
    this.receiveWindow -= length;
    if (this.receiveWindow < 0) {
      throw new Http2Error(ErrorCode.FlowControlError, 'more DATA than the connection allows');
    }
    this.giveBack(length);
    let start = from;
    let end = to;
    if ((flags & Flag.Padded) !== 0) {
      const padding = bytes[from] ?? 0;
      if (length === 0 || padding >= length) throw protocolError('more padding than payload');
      start = from + 1;
      end = to - padding;
    }
    const isLast = (flags & Flag.EndStream) !== 0;
    const stream = this.streams.get(id);
    if (stream === undefined || stream.remoteEnded) return this.strayFrame(id, 'DATA');
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) {
      const text = 'more DATA than the stream allows';
      throw new Http2Error(ErrorCode.FlowControlError, text, id);
    }
    if (start === end && !isLast) this.countControl();
    // Padding is taken at once.
    if (length > end - start) this.take(stream, length - (end - start));
    if (isLast) stream.remoteEnded = true;
    stream.onData(bytes, start, end, isLast);
    if (isLast) this.closeIfEnded(stream);
  }

  private onHeaderFrame(
    type: number,
    flags: number,
    id: number,
    bytes: Buffer,
    from: number,
    to: number,
  ): void {
    const { headerBlocks: blocks } = this;
    if (!blocks.add(type, flags, id, bytes, from, to)) return;
    this.onHeaders(id, blocks.bytes, blocks.from, blocks.to, blocks.isLast);
  }

  private onWindowUpdate(id: number, bytes: Buffer, from: number, to: number): void {
    checkSize(FrameType.WindowUpdate, to - from, 4);
    const more = bytes.readUInt32BE(from) & WINDOW_MAX;
    if (id === 0) {
      if (more === 0) throw protocolError('WINDOW_UPDATE of 0');
      this.queues.widen(more);
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (this.isIdle(id)) throw protocolError('WINDOW_UPDATE on an idle stream');
      return;
    }
    if (more === 0) throw new Http2Error(ErrorCode.ProtocolError, 'WINDOW_UPDATE of 0', id);
    this.queues.widenStream(stream, more);
  }

  private onRstStream(id: number, bytes: Buffer, from: number, to: number): void {
    checkSize(FrameType.RstStream, to - from, 4);
    if (id === 0 || this.isIdle(id)) throw protocolError('RST_STREAM on an idle stream');
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    if (!this.mayReset()) throw tooManyResets();
    this.forget(stream);
    const code = bytes.readUInt32BE(from);
    stream.onReset(code, `the other end cut the stream with code ${code}`);
  }

  private onSettings(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (id !== 0) throw protocolError('SETTINGS on a stream');
    if ((flags & Flag.Ack) !== 0) {
      checkSize(FrameType.Settings, to - from, 0);
      if (this.settingsAcked) this.countControl();
      this.settingsAcked = true;
      return;
    }
    const windowBefore = this.remote.initialWindowSize;
    applySettings(this.remote, bytes, from, to);
    if (this.hasSettings) this.countControl();
    this.hasSettings = true;
    this.encoder.allow(this.remote.headerTableSizeLeast);
    this.encoder.allow(this.remote.headerTableSize);
    const change = this.remote.initialWindowSize - windowBefore;
    if (change !== 0) this.queues.shift(this.streams.values(), change);
    this.out.frame(FrameType.Settings, Flag.Ack, 0, undefined);
    this.onRemoteSettings();
  }

  private onPingFrame(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (id !== 0) throw protocolError('PING on a stream');
    checkSize(FrameType.Ping, to - from, PING_BYTES);
    const payload = bytes.subarray(from, to);
    if ((flags & Flag.Ack) !== 0) {
      this.countControl();
      return this.onPong(payload);
    }
    // Who measures the way pings after each portion of DATA, as Go does: that is no flood.
    const { spentBytes } = this.queues;
    if (spentBytes === this.spentAtPing) this.countControl();
    this.spentAtPing = spentBytes;
    this.out.frame(FrameType.Ping, Flag.Ack, 0, payload);
    this.onPing();
  }

  private onGoAwayFrame(id: number, bytes: Buffer, from: number, to: number): void {
    if (id !== 0) throw protocolError('GOAWAY on a stream');
    this.countControl();
    if (to - from < 8) throw new Http2Error(ErrorCode.FrameSizeError, 'a GOAWAY is too short');
    const lastId = bytes.readUInt32BE(from) & STREAM_ID_MAX;
    this.goneAfter = Math.min(this.goneAfter, lastId);
    const code = bytes.readUInt32BE(from + 4);
    this.onGoAway(lastId, code, bytes.toString('latin1', from + 8, to));
  }

  /** A frame on a stream that has ended: late after a cut from here, else wrong. */
  protected strayFrame(id: number, what: string): void {
    if (this.isIdle(id)) throw protocolError(`${what} on an idle stream`);
    if (this.wasForced(id)) return;
    const text = `${what} on a stream that has ended`;
    if (this.streams.has(id)) throw new Http2Error(ErrorCode.StreamClosed, text, id);
    this.countControl();
    this.out.frameOfNumber(FrameType.RstStream, id, ErrorCode.StreamClosed);
  }

  protected countControl(): void {
    if (!this.control.take(this.nowMs())) {
      throw new Http2Error(ErrorCode.EnhanceYourCalm, 'too many frames that do nothing');
    }
  }

  // ---- windows -----------------------------------------------------------------------------------

  private giveBack(bytes: number): void {
    this.received += bytes;
    if (this.received < CONNECTION_WINDOW_BYTES / 2) return;
    this.out.frameOfNumber(FrameType.WindowUpdate, 0, this.received);
    this.receiveWindow += this.received;
    this.received = 0;
  }

  /** Whoever reads a stream has taken so many bytes of it. */
  take(stream: Http2Stream, bytes: number): void {
    stream.taken += bytes;
    if (stream.remoteEnded || stream.closed || stream.taken < STREAM_WINDOW_BYTES / 2) return;
    this.out.frameOfNumber(FrameType.WindowUpdate, stream.id, stream.taken);
    stream.receiveWindow += stream.taken;
    stream.taken = 0;
  }

  // ---- ends --------------------------------------------------------------------------------------

  /** This end has said all it has to say on a stream. */
  protected localEnd(stream: S): void {
    stream.localEnded = true;
    this.closeIfEnded(stream);
  }

  protected closeIfEnded(stream: S): void {
    if (stream.localEnded && stream.remoteEnded) this.forget(stream);
  }

  protected forget(stream: S): void {
    if (stream.closed) return;
    stream.closed = true;
    this.streams.delete(stream.id);
    this.queues.forget(stream);
    this.onStreamClosed(stream);
  }

  /** Cuts a stream from here. */
  resetStream(id: number, code: number, reason: string): void {
    const stream = this.streams.get(id);
    this.out.frameOfNumber(FrameType.RstStream, id, code);
    this.rememberForced(id);
    if (stream === undefined) return;
    const hadEnded = this.hasEnded(stream);
    this.forget(stream);
    if (!hadEnded) stream.onReset(code, reason);
  }

  /** Whether a stream was cut from here not long ago. */
  protected wasForced(id: number): boolean {
    return this.forcedEnds.has(id);
  }

  private rememberForced(id: number): void {
    this.forcedEnds.add(id);
    if (this.forcedEnds.size <= RESET_STREAMS_REMEMBERED) return;
    for (const oldest of this.forcedEnds) {
      this.forcedEnds.delete(oldest);
      return;
    }
  }

  protected goAway(lastId: number, code: number, text: string): void {
    const payload = Buffer.alloc(8 + Buffer.byteLength(text));
    payload.writeUInt32BE(lastId, 0);
    payload.writeUInt32BE(code, 4);
    payload.write(text, 8);
    this.saidGoodbye = true;
    this.out.frame(FrameType.GoAway, 0, 0, payload);
  }

  /** Says why, and ends the connection. */
  protected breakOff(error: Http2Error): void {
    if (this.isClosed) return;
    this.goAway(this.lastRemoteId, error.code, error.message);
    this.endSocket();
    this.finish(error);
  }

  /** What was written leaves, then the socket is closed; one that does not take it is cut. */
  protected endSocket(): void {
    if (this.socket.writableEnded) return;
    this.out.flush();
    this.socket.end();
    this.socket.resume();
    const cut = setTimeout(() => this.socket.destroy(), SOCKET_END_MS);
    cut.unref();
    this.socket.once('close', () => clearTimeout(cut));
  }

  /** Cuts the connection now. */
  destroy(error?: Error): void {
    this.socket.destroy();
    this.finish(error);
  }

  /** Looks for an other end that takes nothing of what waits for it. */
  protected isStalled(nowMs: number, limitMs = WRITE_STALL_MS): boolean {
    if (
      this.out.waitingBytes === 0 ||
      this.out.bytesOut - this.socket.writableLength !== this.lastBytesOut
    ) {
      this.lastBytesOut = this.out.bytesOut - this.socket.writableLength;
      this.stalledSinceMs = undefined;
      return false;
    }
    this.stalledSinceMs ??= nowMs;
    return nowMs - this.stalledSinceMs >= limitMs;
  }

  private onSocketEnd(): void {
    this.finish(undefined);
    this.socket.end();
  }

  private finish(error: Error | undefined): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.failure = error;
    for (const stream of [...this.streams.values()]) {
      const hadEnded = stream.localEnded && stream.remoteEnded;
      this.forget(stream);
      if (!hadEnded) stream.onReset(ErrorCode.Cancel, 'the connection is gone');
    }
    this.events.closed(error);
  }
}

/** How long a connection that was ended may take to send what it has. */
const SOCKET_END_MS = 1000;

function tooManyResets(): Http2Error {
  return new Http2Error(ErrorCode.EnhanceYourCalm, 'streams are cut too often');
}

function checkSize(type: number, bytes: number, expected: number): void {
  if (bytes === expected) return;
  const text = `a frame of type ${type} with ${bytes} bytes instead of ${expected}`;
  throw new Http2Error(ErrorCode.FrameSizeError, text);
}
