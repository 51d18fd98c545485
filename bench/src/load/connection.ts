/**
 * One HTTP/2 connection of the load client: requests out in batches, answers in as they come.
 *
 *   connect -> settings -> one request of each kind (fills the header table) -> ready
 *   request -> [HEADERS DATA] -> out -- flush: one write --> socket
 *   socket -> frames -> answer ends -> `onAnswer` -> more requests -> flush
 *
 * Never waits and never tries again: whatever is not an answer with status 0 fails the whole run.
 */
import { connect, type Socket } from 'node:net';
import {
  FLAG,
  FRAME,
  FrameReader,
  frame,
  HEADER_BYTES,
  opening,
  PAYLOAD_BYTES_MAX,
} from './frames.js';
import { readSettings, SETTING, WINDOW_DEFAULT, windowUpdate, writeFrameHeader } from './frames.js';
import { type Field, HpackDecoder, HpackEncoder, TABLE_BYTES } from './hpack.js';
import type { RequestFiller } from './request-filler.js';

export interface AnswerSink {
  /** An answer has come, at `nowMs`; the same for all that came in one piece. */
  onAnswer(template: number, sentMs: number, nowMs: number, bytes: number): void;
  onFailure(error: Error): void;
}

/** Streams are told apart by their number modulo this; far more than are ever open. */
const SLOTS = 65_536;
const NO_ERROR = 0;
const FREE = 255;
const OUT_BYTES = 256 * 1024;
/** The connection's window is opened again after this much. */
const RENEW_BYTES = 2 ** 29;

/** What is left of a request that the server's windows did not let through. */
interface Unsent {
  readonly stream: number;
  readonly bytes: Buffer;
  at: number;
  window: number;
}

export class LoadConnection {
  private readonly reader = new FrameReader(this);
  private readonly decoder = new HpackDecoder();
  private encoder = new HpackEncoder(true);
  private blocks: Buffer[] = [];
  private readonly templateOf = new Uint8Array(SLOTS).fill(FREE);
  private readonly sentMs = new Float64Array(SLOTS);
  private readonly bytesOf = new Float64Array(SLOTS);
  private nextStream = 1;
  private out = Buffer.allocUnsafe(OUT_BYTES);
  private outAt = 0;
  /** Slots of requests that are not written yet. */
  private readonly fresh: number[] = [];
  private readonly unsent: Unsent[] = [];
  private window = WINDOW_DEFAULT;
  private streamWindow = WINDOW_DEFAULT;
  private received = 0;
  private nowMs = 0;
  private isClosed = false;
  private settled: ((error?: Error) => void) | undefined;
  private primed: (() => void) | undefined;

  private constructor(
    private readonly socket: Socket,
    private readonly authority: string,
    private readonly fillers: readonly RequestFiller[],
    private readonly streams: number,
    private readonly sink: AnswerSink,
  ) {
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.read(chunk));
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error('the server closed a connection')));
  }

  /** Settles once the server has said its settings. */
  static async open(
    where: { readonly host: string; readonly port: number; readonly streams: number },
    fillers: readonly RequestFiller[],
    sink: AnswerSink,
  ): Promise<LoadConnection> {
    const { host, port, streams } = where;
    const socket = connect({ host, port });
    const connection = new LoadConnection(socket, `${host}:${port}`, fillers, streams, sink);
    await new Promise<void>((resolve, reject) => {
      connection.settled = (error) => (error ? reject(error) : resolve());
      socket.write(opening());
    });
    return connection;
  }

  /** Sends one request of each kind and waits for it: from then on a header is one byte. */
  async prime(key: (template: number) => number): Promise<void> {
    for (const template of this.fillers.keys()) {
      const answered = new Promise<void>((resolve) => (this.primed = resolve));
      this.blocks[template] = this.encoder.encode(this.fields(template));
      this.request(template, key(template));
      this.flush();
      await answered;
    }
    this.blocks = this.fillers.map((_, at) => this.encoder.encode(this.fields(at)));
  }

  /** Puts a request with what is sent by the next `flush`. */
  request(template: number, key: number): void {
    const filler = this.fillers[template];
    const block = this.blocks[template];
    if (!filler || !block) throw new Error(`there is no template ${template}`);
    const stream = this.nextStream;
    this.nextStream += 2;
    const slot = ((stream - 1) / 2) % SLOTS;
    if (this.templateOf[slot] !== FREE) throw new Error('an early request has no answer yet');
    this.templateOf[slot] = template;
    this.bytesOf[slot] = 0;
    this.fresh.push(slot);
    const isWhole = this.goesAtOnce(filler.length);
    this.reserve(2 * HEADER_BYTES + block.length + (isWhole ? filler.length : 0));
    const { headers, data } = FRAME;
    const from = writeFrameHeader(
      this.out,
      this.outAt,
      block.length,
      headers,
      FLAG.endHeaders,
      stream,
    );
    block.copy(this.out, from);
    this.outAt = from + block.length;
    if (!isWhole) {
      const bytes = Buffer.allocUnsafe(filler.length);
      filler.fill(bytes, 0, key);
      this.unsent.push({ stream, bytes, at: 0, window: this.streamWindow });
      this.pump();
      return;
    }
    const body = writeFrameHeader(
      this.out,
      this.outAt,
      filler.length,
      data,
      FLAG.endStream,
      stream,
    );
    filler.fill(this.out, body, key);
    this.outAt = body + filler.length;
    this.window -= filler.length;
  }

  /** Writes what was gathered, all at once. */
  flush(): void {
    if (this.outAt === 0) return;
    const nowMs = performance.now();
    for (const slot of this.fresh) this.sentMs[slot] = nowMs;
    this.fresh.length = 0;
    this.socket.write(this.out.subarray(0, this.outAt));
    // What the system did not take yet is still read from the buffer.
    if (this.socket.writableLength > 0) this.out = Buffer.allocUnsafe(OUT_BYTES);
    this.outAt = 0;
  }

  /** Idempotent. */
  close(): void {
    this.isClosed = true;
    this.socket.destroy();
  }

  onData(stream: number, bytes: number, flags: number): void {
    if (flags & FLAG.endStream) throw new Error('an answer ended without a status');
    const slot = ((stream - 1) / 2) % SLOTS;
    this.bytesOf[slot] = (this.bytesOf[slot] ?? 0) + bytes;
    this.received += bytes;
    if (this.received < RENEW_BYTES) return;
    this.control(windowUpdate(0, this.received));
    this.received = 0;
  }

  onFrame(
    type: number,
    flags: number,
    stream: number,
    chunk: Buffer,
    from: number,
    to: number,
  ): void {
    if (type === FRAME.headers) return this.onHeaders(flags, stream, chunk, from, to);
    if (type === FRAME.window) return this.onWindow(stream, chunk.readUInt32BE(from) & 0x7fffffff);
    if (type === FRAME.settings) return this.onSettings(flags, chunk, from, to);
    if (type === FRAME.ping) {
      if (!(flags & FLAG.ack))
        this.control(frame(FRAME.ping, FLAG.ack, 0, chunk.subarray(from, to)));
      return;
    }
    if (type === FRAME.reset && this.isLateReset(stream, chunk.readUInt32BE(from))) return;
    const ends: readonly number[] = [FRAME.reset, FRAME.goaway, FRAME.push, FRAME.continuation];
    if (!ends.includes(type)) return;
    const code =
      type === FRAME.reset ? chunk.readUInt32BE(from) : chunk.toString('latin1', from, to);
    throw new Error(`the server sent a frame of type ${type}: ${code}`);
  }

  /** A server that has answered may say that it needs no more of the request, though it has it all. */
  private isLateReset(stream: number, code: number): boolean {
    return code === NO_ERROR && this.templateOf[((stream - 1) / 2) % SLOTS] === FREE;
  }

  private onHeaders(flags: number, stream: number, chunk: Buffer, from: number, to: number): void {
    if (!(flags & FLAG.endHeaders)) throw new Error('a header block in several frames');
    const start = from + (flags & FLAG.padded ? 1 : 0) + (flags & FLAG.priority ? 5 : 0);
    const end = to - (flags & FLAG.padded ? (chunk[from] ?? 0) : 0);
    const headers = this.decoder.decode(chunk, start, end);
    if (!(flags & FLAG.endStream)) return;
    const slot = ((stream - 1) / 2) % SLOTS;
    const template = this.templateOf[slot] ?? FREE;
    if (template === FREE) throw new Error(`an answer on stream ${stream}, which is not open`);
    this.templateOf[slot] = FREE;
    if (headers.grpcStatus !== '0') {
      const { grpcStatus, grpcMessage, httpStatus } = headers;
      const path = this.fillers[template]?.path;
      throw new Error(
        `${path}: grpc-status ${grpcStatus}, ${grpcMessage} (HTTP status ${httpStatus})`,
      );
    }
    const { sentMs, bytesOf } = this;
    this.sink.onAnswer(template, sentMs[slot] ?? 0, this.nowMs, bytesOf[slot] ?? 0);
    this.primed?.();
    this.primed = undefined;
  }

  private onSettings(flags: number, chunk: Buffer, from: number, to: number): void {
    if (flags & FLAG.ack) return;
    const settings = readSettings(chunk, from, to);
    const streamWindow = settings.get(SETTING.window) ?? this.streamWindow;
    for (const each of this.unsent) each.window += streamWindow - this.streamWindow;
    this.streamWindow = streamWindow;
    const most = settings.get(SETTING.streamsMax) ?? Infinity;
    if (most < this.streams) throw new Error(`the server takes ${most} streams on a connection`);
    const indexes = (settings.get(SETTING.tableBytes) ?? TABLE_BYTES) >= TABLE_BYTES;
    if (this.blocks.length === 0) this.encoder = new HpackEncoder(indexes);
    this.control(frame(FRAME.settings, FLAG.ack, 0, Buffer.alloc(0)));
    this.settled?.();
    this.pump();
  }

  private onWindow(stream: number, bytes: number): void {
    if (stream === 0) this.window += bytes;
    else for (const each of this.unsent) if (each.stream === stream) each.window += bytes;
    this.pump();
  }

  private goesAtOnce(length: number): boolean {
    return (
      this.unsent.length === 0 &&
      length <= PAYLOAD_BYTES_MAX &&
      length <= this.window &&
      length <= this.streamWindow
    );
  }

  /** Sends of what waits as much as the windows allow. */
  private pump(): void {
    for (let first = this.unsent[0]; first; first = this.unsent[0]) {
      const left = first.bytes.length - first.at;
      const length = Math.min(left, PAYLOAD_BYTES_MAX, this.window, first.window);
      if (length <= 0) return;
      const flags = length === left ? FLAG.endStream : 0;
      this.reserve(HEADER_BYTES + length);
      const at = writeFrameHeader(this.out, this.outAt, length, FRAME.data, flags, first.stream);
      first.bytes.copy(this.out, at, first.at, first.at + length);
      this.outAt = at + length;
      this.window -= length;
      first.window -= length;
      first.at += length;
      if (length === left) this.unsent.shift();
    }
  }

  private control(bytes: Buffer): void {
    this.reserve(bytes.length);
    bytes.copy(this.out, this.outAt);
    this.outAt += bytes.length;
  }

  private reserve(bytes: number): void {
    if (this.outAt + bytes > this.out.length) this.flush();
  }

  private read(chunk: Buffer): void {
    if (this.isClosed) return;
    this.nowMs = performance.now();
    try {
      this.reader.read(chunk);
      this.flush();
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  private fail(error: Error): void {
    if (this.isClosed) return;
    this.close();
    this.settled?.(error);
    this.sink.onFailure(error);
  }

  private fields(template: number): readonly Field[] {
    return [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', this.fillers[template]?.path ?? ''],
      [':authority', this.authority],
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
    ];
  }
}
