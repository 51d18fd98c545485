/**
 * The frames of gRPC: one byte of flags, four of length, then the message.
 *
 * In: bytes of a stream as they arrive, or a message to send. Out: whole frames, header included, so
 * that whoever unpacks a message sees its flag.
 *
 * Must never collect a frame that is larger than the limit, nor hold much more memory than it counts:
 * small pieces are joined, and none keeps alive a chunk that is mostly something else.
 */
import { asBuffer } from '../encoding/encoding.js';

export const FRAME_HEADER_BYTES = 5;

/** The flag of a frame whose message is packed in the encoding of the stream. */
export const FLAG_COMPRESSED = 1;

/** Pieces below this are copied into blocks, which grow up to `BLOCK_BYTES_MAX`. */
const PIECE_BYTES_MIN = 2048;
const BLOCK_BYTES_MAX = 16 * 1024;
/** A view that is less than this share of what it keeps alive is copied. */
const SHARE_MIN = 1 / 4;

/** A frame on its way out: whole, or its header and what follows it in pieces. */
export type Frame = Buffer | readonly Buffer[];

/** From this size on a message is sent as it lies, and not copied behind its header. */
const BY_REFERENCE_BYTES_MIN = 8 * 1024;

/** `message` must not change any more: the frame may be made of it. */
export function encodeFrame(message: Uint8Array, compressed: boolean): Frame {
  const flag = compressed ? FLAG_COMPRESSED : 0;
  if (message.byteLength >= BY_REFERENCE_BYTES_MIN) {
    return [frameHeader(message.byteLength, flag), asBuffer(message)];
  }
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + message.byteLength);
  frame.writeUInt8(flag, 0);
  frame.writeUInt32BE(message.byteLength, 1);
  frame.set(message, FRAME_HEADER_BYTES);
  return frame;
}

/** A frame of the pieces of a packed message. */
export function frameOfPieces(pieces: readonly Buffer[]): Frame {
  let bytes = 0;
  for (const piece of pieces) bytes += piece.length;
  return [frameHeader(bytes, FLAG_COMPRESSED), ...pieces];
}

export function frameBytes(frame: Frame): number {
  if (Buffer.isBuffer(frame)) return frame.length;
  let bytes = 0;
  for (const piece of frame) bytes += piece.length;
  return bytes;
}

/** In one piece, for whoever cannot send several. */
export function wholeFrame(frame: Frame): Buffer {
  return Buffer.isBuffer(frame) ? frame : Buffer.concat(frame);
}

function frameHeader(messageBytes: number, flag: number): Buffer {
  const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
  header.writeUInt8(flag, 0);
  header.writeUInt32BE(messageBytes, 1);
  return header;
}

/** The same bytes, without keeping much more memory alive than they are. */
export function unpinned(bytes: Buffer): Buffer {
  return bytes.length < bytes.buffer.byteLength * SHARE_MIN ? Buffer.from(bytes) : bytes;
}

export class FrameDecoder {
  /** What is there of the frame at the front, until half of it is; the last may have room behind `#tailBytes`. */
  #pieces: Buffer[] = [];
  #tail: Buffer | undefined;
  #tailBytes = 0;
  /** The frame at the front, once half of it is there. */
  #frame: Buffer | undefined;
  #bytes = 0;
  /** Length of the frame at the front, once its header is there. */
  #frameBytes: number | undefined;
  #refused = false;

  /** `onTooLarge` is told once the size of a frame over the limit; nothing comes out after it. */
  constructor(
    private readonly messageBytesMax: number,
    private readonly onTooLarge: (messageBytes: number) => void,
  ) {}

  /** Whether a frame has begun and not ended. */
  get isMidway(): boolean {
    return this.#bytes > 0;
  }

  /** Bytes of the frame that has begun and not ended. */
  get heldBytes(): number {
    return this.#bytes;
  }

  /** The frames that `chunk` completes. They may be views of it. */
  write(chunk: Uint8Array): Buffer[] {
    const frames: Buffer[] = [];
    const bytes = asBuffer(chunk);
    let at = 0;
    while (at < bytes.length && !this.#refused) {
      if (this.#bytes === 0 && bytes.length - at >= FRAME_HEADER_BYTES) {
        this.#measure(bytes, at);
        const end = at + (this.#frameBytes ?? Infinity);
        if (end <= bytes.length) {
          frames.push(bytes.subarray(at, end));
          this.#frameBytes = undefined;
          at = end;
          continue;
        }
        if (this.#refused) break;
      }
      const taken = Math.min(this.#missingBytes(), bytes.length - at);
      this.#keep(bytes, at, at + taken);
      at += taken;
      if (this.#frameBytes === undefined && this.#bytes === FRAME_HEADER_BYTES) {
        this.#measure(this.#join(), 0);
      }
      if (this.#bytes === this.#frameBytes) frames.push(this.#take());
    }
    return frames;
  }

  #missingBytes(): number {
    return (this.#frameBytes ?? FRAME_HEADER_BYTES) - this.#bytes;
  }

  /** Looks at the header of a frame. */
  #measure(bytes: Buffer, at: number): void {
    const messageBytes = bytes.readUInt32BE(at + 1);
    if (messageBytes <= this.messageBytesMax) {
      this.#frameBytes = FRAME_HEADER_BYTES + messageBytes;
      return;
    }
    this.#refused = true;
    this.#clear();
    this.onTooLarge(messageBytes);
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    const frame = this.#frame ?? this.#beginFrame(to - from);
    if (frame !== undefined) bytes.copy(frame, this.#bytes, from, to);
    else this.#keepPiece(bytes.subarray(from, to));
    this.#bytes += to - from;
  }

  /** Room for the whole frame, once half of it is there: memory stays within twice what came. */
  #beginFrame(more: number): Buffer | undefined {
    const whole = this.#frameBytes;
    if (whole === undefined || (this.#bytes + more) * 2 < whole) return undefined;
    const frame = Buffer.allocUnsafeSlow(whole);
    this.#cutTail();
    let at = 0;
    for (const piece of this.#pieces) at += piece.copy(frame, at);
    this.#pieces = [];
    this.#frame = frame;
    return frame;
  }

  #keepPiece(piece: Buffer): void {
    if (piece.length >= PIECE_BYTES_MIN) {
      this.#cutTail();
      this.#pieces.push(unpinned(piece));
      return;
    }
    if (this.#tail === undefined || this.#tail.length - this.#tailBytes < piece.length) {
      this.#cutTail();
      // As much again as there is: memory stays within twice what came.
      const room = Math.min(this.#bytes, this.#missingBytes(), BLOCK_BYTES_MAX);
      this.#tail = Buffer.allocUnsafeSlow(Math.max(piece.length, room));
    }
    piece.copy(this.#tail, this.#tailBytes);
    this.#tailBytes += piece.length;
  }

  #cutTail(): void {
    if (this.#tail !== undefined) this.#pieces.push(this.#tail.subarray(0, this.#tailBytes));
    this.#tail = undefined;
    this.#tailBytes = 0;
  }

  #join(): Buffer {
    this.#cutTail();
    const joined = Buffer.concat(this.#pieces, this.#bytes);
    this.#pieces = [joined];
    return joined;
  }

  #take(): Buffer {
    const frame = this.#frame ?? this.#join();
    this.#clear();
    return frame;
  }

  #clear(): void {
    this.#pieces = [];
    this.#tail = undefined;
    this.#tailBytes = 0;
    this.#frame = undefined;
    this.#bytes = 0;
    this.#frameBytes = undefined;
  }
}
