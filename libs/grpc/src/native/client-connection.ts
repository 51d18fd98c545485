/**
 * One connection of a client: calls out, answers in, and how it ends.
 *
 *     preface, SETTINGS --SETTINGS of the server--> ready --GOAWAY--> draining --no streams--> closed
 *                                                         --breach, silence, loss--> cut
 *
 * Must never open a stream that the server has said it will not serve, nor read less than comes while
 * the server takes little: two ends that both do so wait for each other for ever.
 */
import { type Socket } from 'node:net';
import {
  ErrorCode,
  Flag,
  FrameType,
  Http2Error,
  PREFACE,
  SettingId,
  STREAM_ID_MAX,
} from '../http2/constants.js';
import { Http2Connection } from '../http2/connection.js';
import { CONCURRENT_STREAMS_MAX } from '../http2/limits.js';
import { type KeepaliveOptions } from '../keepalive.js';
import { encodeFrame, type Frame, FRAME_HEADER_BYTES } from '../server/frames.js';
import { RequestBlocks, type RequestCommon } from './client-request-blocks.js';
import { ResponseHeads } from './client-response-heads.js';
import { ClientStream, type StreamUser } from './client-stream.js';
import { KeepalivePings } from './keepalive-pings.js';

/** What a connection tells its owner. */
export interface ConnectionOwner {
  /** The server has sent its settings. */
  onReady(connection: ClientConnection): void;
  /** Takes no more calls. */
  onGoodbye(connection: ClientConnection, text: string): void;
  /** There may be room for another call. */
  onRoom(): void;
  onClosed(connection: ClientConnection, error: Error | undefined): void;
}

export class ClientConnection extends Http2Connection<ClientStream> {
  private nextId = 1;
  private isDraining = false;
  private wasReady = false;
  private readonly heads: ResponseHeads;
  private readonly blocks: RequestBlocks;
  private readonly keepalive: KeepalivePings;

  constructor(
    socket: Socket,
    private readonly owner: ConnectionOwner,
    common: RequestCommon,
    keepalive: KeepaliveOptions | undefined,
    readonly receiveBytesMax: number,
  ) {
    super(socket, { closed: (error) => this.onClosed(error) });
    this.heads = new ResponseHeads(this.decoder);
    this.blocks = new RequestBlocks(this.encoder, common);
    this.keepalive = new KeepalivePings(keepalive, this.nowMs());
    this.out.raw(PREFACE);
    this.sendSettings([[SettingId.EnablePush, 0]]);
  }

  /** Whether another call may begin now. */
  get canOpen(): boolean {
    return (
      this.wasReady &&
      !this.isDraining &&
      !this.isOver &&
      this.streams.size < Math.min(this.remote.concurrentStreamsMax, CONCURRENT_STREAMS_MAX)
    );
  }

  /** Why it ended, where it did not end in order. */
  get lostBy(): Error | undefined {
    return this.failure;
  }

  // ---- requests ----------------------------------------------------------------------------------

  /** Begins a stream with its headers. Only while `canOpen`. */
  open(user: StreamUser, timeout: string): ClientStream {
    const id = this.nextId;
    this.nextId += 2;
    if (this.streams.size === 0) this.socket.ref();
    const stream = new ClientStream(id, this.remote.initialWindowSize, this, user);
    this.streams.set(id, stream);
    const { path, encoding, pairs } = user;
    const block = this.blocks.request(path, encoding.name, pairs, timeout);
    this.out.headers(0, id, block, this.remote.frameSizeMax);
    if (this.nextId > STREAM_ID_MAX) this.drain('all stream numbers are used');
    return stream;
  }

  /** The one message of a request, not packed, and its end. */
  sendWhole(stream: ClientStream, message: Uint8Array): void {
    const bytes = message.length + FRAME_HEADER_BYTES;
    if (this.queues.fits(stream, bytes)) {
      this.queues.spend(stream, bytes);
      this.out.message(Flag.EndStream, stream.id, message);
      this.localEnd(stream);
      return;
    }
    this.queues.send(stream, encodeFrame(message, false));
    this.queues.finish(stream, 'data');
  }

  /** False when something of it waits; `stream.onWritable` is called when nothing does any more. */
  sendFrame(stream: ClientStream, frame: Frame): boolean {
    return this.queues.send(stream, frame);
  }

  sendEnd(stream: ClientStream): void {
    this.queues.finish(stream, 'data');
  }

  // ---- answers -----------------------------------------------------------------------------------

  protected onPreface(chunk: Buffer): Buffer {
    this.keepalive.heard(this.nowMs());
    return chunk;
  }

  protected isIdle(streamId: number): boolean {
    return streamId % 2 === 0 || streamId >= this.nextId;
  }

  protected onHeaders(id: number, block: Buffer, from: number, to: number, isLast: boolean): void {
    const head = this.heads.read(block, from, to);
    const stream = this.streams.get(id);
    if (stream === undefined || stream.remoteEnded) return this.strayFrame(id, 'HEADERS');
    if (head.problem !== undefined) {
      throw new Http2Error(ErrorCode.ProtocolError, head.problem, id);
    }
    if (isLast) stream.remoteEnded = true;
    stream.onHead(head, isLast);
    if (isLast) this.closeIfEnded(stream);
  }

  protected override onRemoteSettings(): void {
    if (this.wasReady) return this.owner.onRoom();
    this.wasReady = true;
    this.socket.unref();
    this.owner.onReady(this);
  }

  protected override hasEnded(stream: ClientStream): boolean {
    return stream.isOver;
  }

  /** What the server sent before it heard that a stream was cut is no fault, however late. */
  protected override strayFrame(id: number, what: string): void {
    if (this.isIdle(id) || this.streams.has(id)) super.strayFrame(id, what);
  }

  protected mayReset(): boolean {
    return true;
  }

  override resetStream(id: number, code: number, reason: string): void {
    const stream = this.streams.get(id);
    if (stream && !stream.isOver) stream.breach = reason;
    super.resetStream(id, code, reason);
  }

  // ---- time and ends -----------------------------------------------------------------------------

  /** Ends what has to end because of time. */
  look(nowMs: number): void {
    if (this.isOver) return;
    if (this.isStalled(nowMs)) return this.destroy(new Error('the server takes nothing'));
    const ping = this.keepalive.look(nowMs);
    if (ping === 'lost') return this.destroy(new Error('the server does not answer pings'));
    if (ping) this.out.frame(FrameType.Ping, 0, 0, ping);
  }

  protected onGoAway(_lastId: number, code: number, text: string): void {
    const why = `the server said goodbye with code ${code}${text && `: ${text}`}`;
    this.drain(why);
    for (const stream of [...this.streams.values()]) {
      if (stream.id <= this.goneAfter) continue;
      this.forget(stream);
      stream.onUnserved(why);
    }
  }

  private drain(why: string): void {
    if (this.isDraining) return;
    this.isDraining = true;
    this.owner.onGoodbye(this, why);
    this.endIfDone();
  }

  private endIfDone(): void {
    if (!this.isDraining || this.openStreams > 0 || this.isOver) return;
    this.endSocket();
  }

  protected onStreamClosed(): void {
    if (this.isOver) return;
    if (this.streams.size === 0) {
      this.socket.unref();
      this.endIfDone();
    }
    this.owner.onRoom();
  }

  protected onPing(): void {
    // Servers may ping as they like; floods are counted below.
  }

  protected onPong(payload: Buffer): void {
    this.keepalive.answered(payload, this.nowMs());
  }

  private onClosed(error: Error | undefined): void {
    this.owner.onClosed(this, error);
  }
}
