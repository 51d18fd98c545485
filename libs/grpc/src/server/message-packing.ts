/**
 * From a message to its frame and back, in the encodings of its call.
 *
 * In: a message, or a frame with its flag. Out: the other, at once or by a promise, as the encoding
 * works. What is wrong with a frame is said in the words of a Go server.
 *
 * Must never unpack past the limit, nor let a flag pass that the headers did not announce.
 */
import { type MessageEncoding } from '../encoding/encoding.js';
import { identity } from '../encoding/identity.js';
import { GrpcError } from '../errors.js';
import { GrpcStatusError, status } from '../status.js';
import {
  encodeFrame,
  FLAG_COMPRESSED,
  type Frame,
  FRAME_HEADER_BYTES,
  frameBytes,
  frameOfPieces,
} from './frames.js';

/** Smaller messages leave packed in any case, as they do from other servers. */
const PLAIN_BYTES_MIN = 8 * 1024;

/**
 * Packs the messages of one call. What would not become smaller leaves as it is, as its flag allows, and behind
 * such a message only a little of the next one is looked at first: packing costs most where it does nothing.
 */
export class MessagePacker {
  #isDense = false;

  constructor(
    private readonly encoding: MessageEncoding,
    /** Smaller messages are not packed. */
    private readonly bytesMin = 1,
  ) {}

  /** `message` must not change any more: its frame may be made of it. */
  pack(message: Uint8Array): Frame | Promise<Frame> {
    const { encoding } = this;
    if (encoding === identity || message.byteLength < this.bytesMin) {
      return encodeFrame(message, false);
    }
    const { length } = message;
    if (encoding.compressToPieces && encoding.isWorth && length >= PLAIN_BYTES_MIN) {
      if (this.#isDense && !encoding.isWorth(message)) return encodeFrame(message, false);
      const pieces = encoding.compressToPieces(message);
      const frame = frameOfPieces(pieces);
      this.#isDense = frameBytes(frame) >= FRAME_HEADER_BYTES + length;
      return this.#isDense ? encodeFrame(message, false) : frame;
    }
    const packed = encoding.compress(message);
    return packed instanceof Promise
      ? packed.then((bytes) => encodeFrame(bytes, true))
      : encodeFrame(packed, true);
  }
}

/** Throws, or rejects with, what `unpackError` turns into a status. */
export function unpackFrame(
  encoding: MessageEncoding,
  frame: Buffer,
  bytesMax: number,
): Buffer | Promise<Buffer> {
  const flag = frame[0];
  const message = frame.subarray(FRAME_HEADER_BYTES);
  if (flag === 0) {
    return message;
  }
  if (flag !== FLAG_COMPRESSED) {
    const text = `grpc: received unexpected payload format ${flag}`;
    throw new GrpcStatusError(status.INTERNAL, text);
  }
  if (encoding === identity) {
    const text = 'grpc: compressed flag set with identity or empty encoding';
    throw new GrpcStatusError(status.INTERNAL, text);
  }
  return encoding.decompress(message, bytesMax);
}

export function unpackError(error: unknown, bytesMax: number): unknown {
  if (!(error instanceof GrpcError)) {
    return error;
  }
  if (error.code === 'ENCODING_TOO_LARGE') {
    const text = `grpc: received message after decompression larger than max ${bytesMax}`;
    return new GrpcStatusError(status.RESOURCE_EXHAUSTED, text);
  }
  const text = `grpc: failed to decompress the received message: ${error.message}`;
  return new GrpcStatusError(status.INTERNAL, text);
}
