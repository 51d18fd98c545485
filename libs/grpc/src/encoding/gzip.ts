/**
 * gzip (RFC 1952), by the zlib that comes with the platform.
 *
 * In: one message. Out: the packed or unpacked message; small ones at once, others from zlib's
 * threads. The length that a gzip stream states at its end chooses between the two, and since it
 * may lie, the short way has its own, small limit.
 *
 * Must never let zlib produce more than the limit: it is given to zlib, which stops there.
 */
import { promisify } from 'node:util';
import { gunzip, gunzipSync, gzip as gzipCallback, gzipSync } from 'node:zlib';
import {
  encodingCorrupt,
  encodingTooLarge,
  SYNC_BYTES_MAX,
  type MessageEncoding,
} from './encoding.js';

const gunzipAsync = promisify(gunzip);
const gzipAsync = promisify(gzipCallback);

/** Shortest stream there is: header, empty block, trailer. */
const GZIP_BYTES_MIN = 18;

export const gzip: MessageEncoding = {
  name: 'gzip',
  compress(bytes) {
    return bytes.byteLength <= SYNC_BYTES_MAX ? gzipSync(bytes) : gzipAsync(bytes);
  },
  decompress(bytes, bytesMax) {
    if (bytes.byteLength < GZIP_BYTES_MIN) {
      throw encodingCorrupt('gzip', 'the stream is cut short');
    }
    if (bytesMax > 0 && statedBytes(bytes) <= SYNC_BYTES_MAX && isShort(bytes)) {
      const unpacked = unpackShort(bytes, bytesMax);
      if (unpacked !== undefined) {
        return unpacked;
      }
    }
    return unpackLong(bytes, bytesMax);
  },
};

function isShort(bytes: Uint8Array): boolean {
  return bytes.byteLength <= SYNC_BYTES_MAX;
}

/** What the last member of the stream says it unpacks to, modulo 2^32. */
function statedBytes(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(
    bytes.byteLength - 4,
    true,
  );
}

/** Undefined when the stream is longer than it said. */
function unpackShort(bytes: Uint8Array, bytesMax: number): Buffer | undefined {
  const maxOutputLength = Math.min(bytesMax, SYNC_BYTES_MAX);
  try {
    return gunzipSync(bytes, { maxOutputLength });
  } catch (error) {
    if (isTooLarge(error)) {
      if (maxOutputLength === bytesMax) {
        throw encodingTooLarge('gzip', bytesMax);
      }
      return undefined;
    }
    throw encodingCorrupt('gzip', 'the stream is damaged', error);
  }
}

async function unpackLong(bytes: Uint8Array, bytesMax: number): Promise<Buffer> {
  try {
    const unpacked = await gunzipAsync(bytes, { maxOutputLength: Math.max(1, bytesMax) });
    if (unpacked.byteLength > bytesMax) {
      throw encodingTooLarge('gzip', bytesMax);
    }
    return unpacked;
  } catch (error) {
    if (isTooLarge(error)) {
      throw encodingTooLarge('gzip', bytesMax);
    }
    throw encodingCorrupt('gzip', 'the stream is damaged', error);
  }
}

function isTooLarge(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
}
