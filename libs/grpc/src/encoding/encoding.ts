/**
 * What a message encoding is: a name from the `grpc-encoding` header and two functions on bytes.
 *
 * In: one whole message and, when unpacking, the most bytes it may become. Out: bytes, at once
 * where that is short work, else by a promise, so that no message holds the loop.
 *
 * Must never hand out or keep in memory more than the limit: what would grow past it ends in
 * `ENCODING_TOO_LARGE`, what is damaged in `ENCODING_CORRUPT`.
 */
import { GrpcError } from '../errors.js';

export interface MessageEncoding {
  readonly name: string;
  compress(bytes: Uint8Array): Buffer | Promise<Buffer>;
  /** The same where it comes in pieces anyway, some of them views of `bytes`. */
  compressToPieces?(bytes: Uint8Array): Buffer[];
  /** Whether the beginning of `bytes` becomes smaller: a guess at the whole for little work. */
  isWorth?(bytes: Uint8Array): boolean;
  decompress(bytes: Uint8Array, bytesMax: number): Buffer | Promise<Buffer>;
}

/** Work on more bytes than this leaves the loop, where the codec has a way to. */
export const SYNC_BYTES_MAX = 64 * 1024;

export function encodingCorrupt(name: string, reason: string, cause?: unknown): GrpcError {
  return new GrpcError('ENCODING_CORRUPT', `${name}: ${reason}`, { cause });
}

export function encodingTooLarge(name: string, bytesMax: number): GrpcError {
  return new GrpcError('ENCODING_TOO_LARGE', `${name}: grows past ${bytesMax} bytes`);
}

/** The same bytes as a Buffer, without a copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
