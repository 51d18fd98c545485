/**
 * Gathers the frames of one turn and hands them to the socket in one write.
 *
 * In: frames, small ones copied into a slab, the payload of large ones taken as it is. Out: one write
 * (or one vectored write) a turn. The caller asks `isCongested` before it makes more.
 *
 * Must never write over bytes that were handed to the socket.
 */
import { type Duplex } from 'node:stream';
import { Flag, FRAME_HEAD_BYTES, FrameType } from './constants.js';

const SLAB_BYTES = 64 * 1024;
/** Payloads of at least this size are not copied. */
export const BY_REFERENCE_BYTES = 8 * 1024;
/** More than this waiting in the socket, and whoever can wait does. */
export const SOCKET_BYTES_MAX = 1024 * 1024;

export class FrameOutput {
  /** Bytes handed to the socket, ever. */
  bytesOut = 0;
  private slab: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  private flushed = 0;
  private at = 0;
  private finished: Buffer[] = [];
  private gatheredBytes = 0;
  private flushDue = false;
  private gathering = false;

  constructor(
    private readonly socket: Duplex,
    private readonly onDrain: () => void,
  ) {
    socket.on('drain', () => this.onDrain());
  }

  /** Whether the other end takes less than it is given. */
  get isCongested(): boolean {
    return (
      this.socket.writableLength + this.gatheredBytes + this.at - this.flushed > SOCKET_BYTES_MAX
    );
  }

  get waitingBytes(): number {
    return this.socket.writableLength + this.gatheredBytes + this.at - this.flushed;
  }

  /** What is written until `release` leaves in one write then. */
  hold(): void {
    this.gathering = true;
  }

  release(): void {
    this.gathering = false;
    this.flush();
  }

  frame(type: number, flags: number, streamId: number, payload: Buffer | undefined): void {
    const bytes = payload?.length ?? 0;
    if (bytes >= BY_REFERENCE_BYTES && payload) {
      this.head(type, flags, streamId, bytes);
      this.reference(payload);
      return;
    }
    const at = this.reserve(FRAME_HEAD_BYTES + bytes);
    putHead(this.slab, at, bytes, type, flags, streamId);
    if (payload) payload.copy(this.slab, at + FRAME_HEAD_BYTES);
  }

  /**
   * A header block, in as many frames as the other end's frame size asks for. The block may be
   * overwritten as soon as this returns: the encoder makes the next one in the same place.
   */
  headers(flags: number, streamId: number, block: Buffer, frameSizeMax: number): void {
    if (block.length < BY_REFERENCE_BYTES) {
      this.frame(FrameType.Headers, flags | Flag.EndHeaders, streamId, block);
      return;
    }
    const whole = Buffer.from(block);
    let end = Math.min(frameSizeMax, whole.length);
    let last = end === whole.length ? Flag.EndHeaders : 0;
    this.frame(FrameType.Headers, flags | last, streamId, whole.subarray(0, end));
    while (end < whole.length) {
      const at = end;
      end = Math.min(at + frameSizeMax, whole.length);
      last = end === whole.length ? Flag.EndHeaders : 0;
      this.frame(FrameType.Continuation, last, streamId, whole.subarray(at, end));
    }
  }

  /** A frame of four bytes: a reset, a window. */
  frameOfNumber(type: number, streamId: number, value: number): void {
    const at = this.reserve(FRAME_HEAD_BYTES + 4);
    putHead(this.slab, at, 4, type, 0, streamId);
    this.slab.writeUInt32BE(value, at + FRAME_HEAD_BYTES);
  }

  /** The head of a frame whose payload follows in pieces. */
  head(type: number, flags: number, streamId: number, payloadBytes: number): void {
    const at = this.reserve(FRAME_HEAD_BYTES);
    putHead(this.slab, at, payloadBytes, type, flags, streamId);
  }

  /** A piece of the payload of the frame whose head was the last. */
  payload(piece: Buffer): void {
    if (piece.length >= BY_REFERENCE_BYTES) return this.reference(piece);
    const at = this.reserve(piece.length);
    piece.copy(this.slab, at);
  }

  /**
   * A DATA frame with one whole message of gRPC that is not packed: `message` behind its prefix of
   * five bytes.
   */
  message(flags: number, streamId: number, message: Uint8Array): void {
    const bytes = message.length;
    const isLarge = bytes >= BY_REFERENCE_BYTES;
    const at = this.reserve(FRAME_HEAD_BYTES + 5 + (isLarge ? 0 : bytes));
    const { slab } = this;
    putHead(slab, at, bytes + 5, FrameType.Data, flags, streamId);
    slab[at + 9] = 0;
    slab[at + 10] = bytes >>> 24;
    slab[at + 11] = bytes >>> 16;
    slab[at + 12] = bytes >>> 8;
    slab[at + 13] = bytes;
    if (isLarge) this.reference(message);
    else slab.set(message, at + 14);
  }

  /** Bytes that are no frame: the preface. */
  raw(bytes: Buffer): void {
    const at = this.reserve(bytes.length);
    bytes.copy(this.slab, at);
  }

  /** Hands over what has been gathered. */
  flush(): void {
    this.flushDue = false;
    if (this.at > this.flushed) this.cutSlab();
    const { finished } = this;
    if (finished.length === 0) return;
    this.finished = [];
    this.bytesOut += this.gatheredBytes;
    this.gatheredBytes = 0;
    if (this.socket.destroyed || this.socket.writableEnded) return;
    const [only] = finished;
    if (finished.length === 1 && only) {
      this.socket.write(only);
      return;
    }
    this.socket.cork();
    for (const piece of finished) this.socket.write(piece);
    this.socket.uncork();
  }

  private reference(payload: Uint8Array): void {
    this.cutSlab();
    this.add(
      Buffer.isBuffer(payload)
        ? payload
        : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength),
    );
  }

  /** Room for `bytes` in the slab; gives where. */
  private reserve(bytes: number): number {
    if (this.at + bytes > this.slab.length) this.renewSlab(bytes);
    if (!this.gathering && !this.flushDue) this.flushSoon();
    const { at } = this;
    this.at = at + bytes;
    return at;
  }

  private renewSlab(bytes: number): void {
    if (this.at > this.flushed) this.cutSlab();
    this.slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes));
    this.at = 0;
    this.flushed = 0;
  }

  /** What lies in the slab and is not handed over becomes a piece. */
  private cutSlab(): void {
    this.add(this.slab.subarray(this.flushed, this.at));
    this.flushed = this.at;
  }

  private add(piece: Buffer): void {
    if (piece.length === 0) return;
    this.finished.push(piece);
    this.gatheredBytes += piece.length;
  }

  /** Runs when everything that this turn does has been done, promises included. */
  private flushSoon(): void {
    this.flushDue = true;
    process.nextTick(this.flushNow);
  }

  private readonly flushNow = (): void => {
    if (this.flushDue) this.flush();
  };
}

function putHead(
  target: Buffer,
  at: number,
  payloadBytes: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  target[at] = payloadBytes >>> 16;
  target[at + 1] = payloadBytes >>> 8;
  target[at + 2] = payloadBytes;
  target[at + 3] = type;
  target[at + 4] = flags;
  target[at + 5] = streamId >>> 24;
  target[at + 6] = streamId >>> 16;
  target[at + 7] = streamId >>> 8;
  target[at + 8] = streamId;
}
