/**
 * Cuts the bytes of a connection into frames.
 *
 * In: chunks as the socket gives them. Out: one call a frame, with the place of its payload; a frame
 * that lies whole in a chunk is never copied, one that is cut by the end of a chunk is joined. A long frame
 * of DATA is not waited for: its pieces are given as if each were a frame, its flag of the end with the last.
 *
 * Must never collect more than one frame, nor one that is longer than was announced.
 */
import { ErrorCode, Flag, FRAME_HEAD_BYTES, FrameType, Http2Error } from './constants.js';

/** DATA of at least this size is given in pieces where it comes in pieces. */
const IN_PIECES_BYTES_MIN = 4 * 1024;

export interface FrameSink {
  /** The payload is `bytes[from..to)`. */
  frame(
    type: number,
    flags: number,
    streamId: number,
    bytes: Buffer,
    from: number,
    to: number,
  ): void;
}

export class FrameParser {
  /** Frames given so far. */
  frames = 0;
  private held: Buffer | undefined;
  private heldBytes = 0;
  /** What is still to come of a frame that is given in pieces. */
  private partBytes = 0;
  private partFlags = 0;
  private partStreamId = 0;

  /** `frameSizeMax` is the SETTINGS_MAX_FRAME_SIZE of this end. */
  constructor(
    private readonly frameSizeMax: number,
    private readonly sink: FrameSink,
  ) {}

  /** Whether a frame has begun and not ended. */
  get isInFrame(): boolean {
    return this.heldBytes > 0 || this.partBytes > 0;
  }

  /** Throws Http2Error FRAME_SIZE_ERROR, and what the sink throws; of no use after that. */
  push(chunk: Buffer): void {
    let from = 0;
    if (this.partBytes > 0) from = this.givePart(chunk, 0);
    else if (this.heldBytes > 0) {
      from = this.complete(chunk);
      if (from < 0) return;
    }
    while (chunk.length - from >= FRAME_HEAD_BYTES) {
      const end = from + FRAME_HEAD_BYTES + this.lengthAt(chunk, from);
      if (end > chunk.length) {
        if (!this.beginsParts(chunk, from)) break;
        from = this.givePart(chunk, from + FRAME_HEAD_BYTES);
        continue;
      }
      this.give(chunk, from, end);
      from = end;
    }
    if (from < chunk.length) this.hold(chunk, from, chunk.length);
  }

  /** Adds what a held frame lacks, and gives it; where the chunk goes on, -1 if it is used up. */
  private complete(chunk: Buffer): number {
    let from = 0;
    if (this.heldBytes < FRAME_HEAD_BYTES) {
      from = Math.min(FRAME_HEAD_BYTES - this.heldBytes, chunk.length);
      this.hold(chunk, 0, from);
      if (this.heldBytes < FRAME_HEAD_BYTES) return -1;
    }
    const held = this.held ?? chunk;
    if (this.heldBytes === FRAME_HEAD_BYTES && this.beginsParts(held, 0)) {
      this.forgetHeld();
      return from < chunk.length ? this.givePart(chunk, from) : -1;
    }
    const missing = FRAME_HEAD_BYTES + this.lengthAt(held, 0) - this.heldBytes;
    const taken = Math.min(missing, chunk.length - from);
    this.hold(chunk, from, from + taken);
    if (taken < missing) return -1;
    const whole = this.held ?? chunk;
    const bytes = this.heldBytes;
    this.forgetHeld();
    this.give(whole, 0, bytes);
    return from + taken;
  }

  private forgetHeld(): void {
    this.held = undefined;
    this.heldBytes = 0;
  }

  /** Whether the frame with this head is given in pieces; then its first may follow. */
  private beginsParts(bytes: Buffer, at: number): boolean {
    const length = this.lengthAt(bytes, at);
    const flags = bytes[at + 4] ?? 0;
    // Padding is cut off a frame as a whole.
    const isPlainData = bytes[at + 3] === FrameType.Data && (flags & Flag.Padded) === 0;
    if (!isPlainData || length < IN_PIECES_BYTES_MIN) return false;
    this.partBytes = length;
    this.partFlags = flags;
    this.partStreamId = streamIdAt(bytes, at);
    return true;
  }

  /** Gives what a chunk has of such a frame; where the chunk goes on. */
  private givePart(chunk: Buffer, from: number): number {
    const to = Math.min(from + this.partBytes, chunk.length);
    this.partBytes -= to - from;
    const isLast = this.partBytes === 0;
    if (isLast) this.frames++;
    const flags = isLast ? this.partFlags : this.partFlags & ~Flag.EndStream;
    if (to > from) this.sink.frame(FrameType.Data, flags, this.partStreamId, chunk, from, to);
    return to;
  }

  private hold(chunk: Buffer, from: number, to: number): void {
    const bytes = to - from;
    if (bytes <= 0) return;
    const known =
      this.heldBytes >= FRAME_HEAD_BYTES && this.held
        ? this.lengthAt(this.held, 0)
        : this.heldBytes === 0 && bytes >= FRAME_HEAD_BYTES
          ? this.lengthAt(chunk, from)
          : 0;
    const room = FRAME_HEAD_BYTES + known;
    if (!this.held || this.held.length < room) {
      const larger = Buffer.allocUnsafeSlow(Math.max(room, this.heldBytes + bytes));
      this.held?.copy(larger, 0, 0, this.heldBytes);
      this.held = larger;
    }
    chunk.copy(this.held, this.heldBytes, from, to);
    this.heldBytes += bytes;
  }

  private lengthAt(bytes: Buffer, at: number): number {
    const length = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    if (length > this.frameSizeMax) {
      const text = `a frame of ${length} bytes is longer than ${this.frameSizeMax}`;
      throw new Http2Error(ErrorCode.FrameSizeError, text);
    }
    return length;
  }

  private give(bytes: Buffer, at: number, end: number): void {
    const from = at + FRAME_HEAD_BYTES;
    this.frames++;
    this.sink.frame(
      bytes[at + 3] ?? 0,
      bytes[at + 4] ?? 0,
      streamIdAt(bytes, at),
      bytes,
      from,
      end,
    );
  }
}

function streamIdAt(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at + 5) & 0x7fff_ffff;
}
