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
  private window = WINDOW_DEFAULT;
  private readonly waiting = new Set<S>();

  constructor(
    private readonly out: FrameOutput,
    private readonly remote: Settings,
    /** Everything of a stream has been sent. */
    private readonly onEnd: (stream: S) => void,
  ) {}

  /** Streams that wait. */
  get size(): number {
    return this.waiting.size;
  }

  has(stream: S): boolean {
    return this.waiting.has(stream);
  }

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
    stream.sendWindow -= bytes;
  }

  /** Sends DATA, or queues it. False when something of it waits. */
  send(stream: S, payload: Buffer): boolean {
    if (stream.closed) return true;
    (stream.queue ??= []).push(payload);
    stream.queuedBytes += payload.length;
    this.queuedBytes += payload.length;
    this.pump(stream, Infinity);
    return stream.queuedBytes === 0;
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
    if (this.waiting.has(stream)) this.pump(stream, Infinity);
  }

  /** The other end changed the window that streams begin with. */
  shift(streams: Iterable<S>, change: number): void {
    for (const stream of streams) {
      stream.sendWindow += change;
      if (stream.sendWindow > WINDOW_MAX) {
        throw new Http2Error(ErrorCode.FlowControlError, 'the window of a stream overflows');
      }
    }
    this.resume();
  }

  /** There may be room again: every stream that waits sends a frame in turn, until there is none. */
  resume(): void {
    let progress = true;
    while (progress && this.waiting.size > 0 && this.mayWrite) {
      progress = false;
      for (const stream of [...this.waiting]) {
        if (this.pump(stream, this.remote.frameSizeMax)) progress = true;
      }
    }
  }

  forget(stream: S): void {
    this.waiting.delete(stream);
    this.queuedBytes -= stream.queuedBytes;
    stream.queuedBytes = 0;
    stream.queue = undefined;
    stream.end = undefined;
    stream.onWritable = undefined;
  }

  private get mayWrite(): boolean {
    return this.window > 0 && !this.out.isCongested;
  }

  /** Sends up to `bytesMax` of what a stream has; whether it sent anything. */
  private pump(stream: S, bytesMax: number): boolean {
    const { queue } = stream;
    let left = bytesMax;
    while (queue && queue.length > 0 && left > 0) {
      const [first] = queue;
      if (first === undefined) break;
      const room = Math.min(this.window, stream.sendWindow, this.remote.frameSizeMax, left);
      const bytes = Math.min(room, first.length);
      if ((bytes <= 0 && first.length > 0) || this.out.isCongested) break;
      if (bytes === first.length) queue.shift();
      else queue[0] = first.subarray(bytes);
      left -= bytes;
      stream.queuedBytes -= bytes;
      this.queuedBytes -= bytes;
      this.spend(stream, bytes);
      const isEnd = stream.end === 'data' && queue.length === 0;
      const piece = bytes === first.length ? first : first.subarray(0, bytes);
      this.out.frame(FrameType.Data, isEnd ? Flag.EndStream : 0, stream.id, piece);
    }
    if (stream.queuedBytes > 0) this.waiting.add(stream);
    else this.drained(stream);
    return left < bytesMax;
  }

  private drained(stream: S): void {
    this.waiting.delete(stream);
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
