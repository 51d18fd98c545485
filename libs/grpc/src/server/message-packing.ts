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
import { encodeFrame, FLAG_COMPRESSED, FRAME_HEADER_BYTES } from './frames.js';

export function packMessage(
  encoding: MessageEncoding,
  message: Uint8Array,
  bytesMin = 1,
): Buffer | Promise<Buffer> {
  if (encoding === identity || message.byteLength < bytesMin) {
    return encodeFrame(message, false);
  }
  const packed = encoding.compress(message);
  return packed instanceof Promise
    ? packed.then((bytes) => encodeFrame(bytes, true))
    : encodeFrame(packed, true);
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
