/**
 * What waits to be sent: for the window of its stream, for that of the connection, or for the socket.
 *
 *     send --fits--> output
 *          --does not--> queue of its stream --widen, drain--> output, stream by stream in turn
 *
 * Must never send past a window, and never hold a queue that nobody is told of: `queuedBytes` counts.
 */
import { ErrorCode, Flag, FrameType, Http2Error, WINDOW_DEFAULT, WINDOW_MAX } from './constants.js';
import { type FrameOutput } from './frame-output.js';
import { type Settings } from './settings.js';
import { type Http2Stream, type StreamEnd } from './stream.js';

export class SendQueues<S extends Http2Stream> {
  /** Bytes of all queues. */
  queuedBytes = 0;
  /** Bytes of DATA sent, ever. */
  spentBytes = 0;
  private window = WINDOW_DEFAULT;
  /** Streams that have something to send and a window of their own for it, the next in turn first. */
  private readonly ready = new Set<S>();

  constructor(
    private readonly out: FrameOutput,
    private readonly remote: Settings,
    /** Everything of a stream has been sent. */
    private readonly onEnd: (stream: S) => void,
  ) {}

  /** Whether so many bytes of DATA may leave in one frame now. */
  fits(stream: S, bytes: number): boolean {
    return (
      bytes <= this.window &&
      bytes <= stream.sendWindow &&
      bytes <= this.remote.frameSizeMax &&
      stream.queuedBytes === 0 &&
      !this.out.isCongested
    );
  }

  /** So many bytes have left in a frame that the caller wrote. */
  spend(stream: S, bytes: number): void {
    this.window -= bytes;
    this.spentBytes += bytes;
    stream.sendWindow -= bytes;
  }

  /** Sends DATA, whole or in pieces, or queues it. False when something of it waits. */
  send(stream: S, payload: Buffer | readonly Buffer[]): boolean {
    if (stream.closed) return stream.queuedBytes === 0;
    if (Buffer.isBuffer(payload)) this.enqueue(stream, payload);
    else for (const piece of payload) this.enqueue(stream, piece);
    if (stream.queuedBytes > 0) this.pump(stream, Infinity);
    return stream.queuedBytes === 0;
  }

  private enqueue(stream: S, piece: Buffer): void {
    if (piece.length === 0) return;
    (stream.queue ??= []).push(piece);
    stream.queuedBytes += piece.length;
    this.queuedBytes += piece.length;
  }

  /** Nothing follows what was sent so far: the stream ends with the last DATA, or with what `end` writes. */
  finish(stream: S, end: StreamEnd): void {
    if (stream.closed) return;
    stream.end = end;
    if (stream.queuedBytes === 0) this.writeEnd(stream);
  }

  /** The connection's window grows. */
  widen(bytes: number): void {
    this.window += bytes;
    if (this.window > WINDOW_MAX) {
      throw new Http2Error(ErrorCode.FlowControlError, 'the window of the connection overflows');
    }
    this.resume();
  }

  widenStream(stream: S, bytes: number): void {
    stream.sendWindow += bytes;
    if (stream.sendWindow > WINDOW_MAX) {
      const text = 'the window of a stream overflows';
      throw new Http2Error(ErrorCode.FlowControlError, text, stream.id);
    }
    if (stream.queuedBytes > 0) this.pump(stream, Infinity);
  }

  /** The other end changed the window that streams begin with. */
  shift(streams: Iterable<S>, change: number): void {
    for (const stream of streams) {
      stream.sendWindow += change;
      if (stream.sendWindow > WINDOW_MAX) {
        throw new Http2Error(ErrorCode.FlowControlError, 'the window of a stream overflows');
      }
      if (stream.queuedBytes > 0 && stream.sendWindow > 0) this.ready.add(stream);
    }
    this.resume();
  }

  /** There may be room again: every stream that may sends a frame in turn, until there is none. */
  resume(): void {
    while (this.mayWrite) {
      const [stream] = this.ready;
      if (stream === undefined) return;
      // What is left of it is added again, behind the others.
      this.ready.delete(stream);
      this.pump(stream, this.remote.frameSizeMax);
    }
  }

  forget(stream: S): void {
    this.ready.delete(stream);
    this.queuedBytes -= stream.queuedBytes;
    stream.queuedBytes = 0;
    stream.queue = undefined;
    stream.end = undefined;
    stream.onWritable = undefined;
  }

  private get mayWrite(): boolean {
    return this.window > 0 && !this.out.isCongested;
  }

  /** Sends up to `bytesMax` of what a stream has. */
  private pump(stream: S, bytesMax: number): void {
    const { queue } = stream;
    let left = bytesMax;
    while (queue && left > 0 && !this.out.isCongested) {
      const room = Math.min(this.window, stream.sendWindow, this.remote.frameSizeMax, left);
      const bytes = Math.min(room, stream.queuedBytes);
      if (bytes <= 0) break;
      left -= bytes;
      stream.queuedBytes -= bytes;
      stream.piecesSent++;
      this.queuedBytes -= bytes;
      this.spend(stream, bytes);
      const isEnd = stream.end === 'data' && stream.queuedBytes === 0;
      this.writeData(stream.id, isEnd ? Flag.EndStream : 0, queue, bytes);
    }
    if (stream.queuedBytes === 0) this.drained(stream);
    else if (stream.sendWindow > 0) this.ready.add(stream);
    else this.ready.delete(stream);
  }

  /** One frame of the first `bytes` of a queue, which takes them from it. */
  private writeData(streamId: number, flags: number, queue: Buffer[], bytes: number): void {
    const only = cutFrom(queue, bytes);
    if (only.length === bytes) return this.out.frame(FrameType.Data, flags, streamId, only);
    this.out.head(FrameType.Data, flags, streamId, bytes);
    this.out.payload(only);
    for (let missing = bytes - only.length; missing > 0;) {
      const piece = cutFrom(queue, missing);
      this.out.payload(piece);
      missing -= piece.length;
    }
  }

  private drained(stream: S): void {
    this.ready.delete(stream);
    if (stream.end === 'data') {
      stream.end = undefined;
      this.onEnd(stream);
    } else if (stream.end) this.writeEnd(stream);
    const { onWritable } = stream;
    stream.onWritable = undefined;
    onWritable?.();
  }

  private writeEnd(stream: S): void {
    const { end } = stream;
    stream.end = undefined;
    if (end === 'data') this.out.frame(FrameType.Data, Flag.EndStream, stream.id, undefined);
    else end?.();
    this.onEnd(stream);
  }
}

/** The first piece of a queue, or of it what `bytesMax` allows. */
function cutFrom(queue: Buffer[], bytesMax: number): Buffer {
  const [first] = queue;
  if (first === undefined) throw new Error('a queue has less than was counted');
  if (first.length <= bytesMax) {
    queue.shift();
    return first;
  }
  queue[0] = first.subarray(bytesMax);
  return first.subarray(0, bytesMax);
}
