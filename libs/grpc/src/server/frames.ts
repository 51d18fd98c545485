/**
 * The frames of gRPC: one byte of flags, four of length, then the message.
 *
 * In: bytes of a stream as they arrive, or a message to send. Out: whole frames, header included, so
 * that whoever unpacks a message sees its flag.
 *
 * Must never collect a frame that is larger than the limit: its length is looked at first.
 */
import { asBuffer } from '../encoding/encoding.js';

export const FRAME_HEADER_BYTES = 5;

/** The flag of a frame whose message is packed in the encoding of the stream. */
export const FLAG_COMPRESSED = 1;

export function encodeFrame(message: Uint8Array, compressed: boolean): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + message.byteLength);
  frame.writeUInt8(compressed ? FLAG_COMPRESSED : 0, 0);
  frame.writeUInt32BE(message.byteLength, 1);
  frame.set(message, FRAME_HEADER_BYTES);
  return frame;
}

export class FrameDecoder {
  #pieces: Buffer[] = [];
  #bytes = 0;
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

  /** The frames that `chunk` completes. They may be views of it. */
  write(chunk: Uint8Array): Buffer[] {
    if (this.#refused) {
      return [];
    }
    this.#pieces.push(asBuffer(chunk));
    this.#bytes += chunk.byteLength;
    const frames: Buffer[] = [];
    for (;;) {
      const needed = this.#neededBytes();
      if (needed === undefined || needed > this.#bytes) {
        return frames;
      }
      frames.push(this.#take(needed));
    }
  }

  /** Length of the frame at the front; undefined when that is not known yet, or refused. */
  #neededBytes(): number | undefined {
    if (this.#bytes < FRAME_HEADER_BYTES || this.#refused) {
      return undefined;
    }
    let [first] = this.#pieces;
    if (first !== undefined && first.length < FRAME_HEADER_BYTES) {
      first = Buffer.concat(this.#pieces);
      this.#pieces = [first];
    }
    const messageBytes = first?.readUInt32BE(1) ?? 0;
    if (messageBytes > this.messageBytesMax) {
      this.#refused = true;
      this.#pieces = [];
      this.#bytes = 0;
      this.onTooLarge(messageBytes);
      return undefined;
    }
    return FRAME_HEADER_BYTES + messageBytes;
  }

  #take(frameBytes: number): Buffer {
    const [first] = this.#pieces;
    const all =
      first !== undefined && first.length >= frameBytes ? first : Buffer.concat(this.#pieces);
    const rest = all.subarray(frameBytes);
    // What was joined holds all there was; else the other pieces, if any, still follow.
    const others = all === first ? this.#pieces.slice(1) : [];
    this.#pieces = rest.length > 0 ? [rest, ...others] : others;
    this.#bytes -= frameBytes;
    return all.subarray(0, frameBytes);
  }
}
