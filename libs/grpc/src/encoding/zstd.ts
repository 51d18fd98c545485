/**
 * Zstandard (RFC 8878).
 *
 * In: one message, as one or several frames. Out: the packed or unpacked message.
 *
 * The native decoder has no limit of its own and the one in JavaScript allots whatever window a
 * frame asks for, so the frames are walked first: headers and block sizes tell, without unpacking
 * anything, the most that the message can become. If that is near the limit the native decoder may
 * have it, off the loop; if it is far over (many small blocks), the JavaScript decoder unpacks block
 * by block and is stopped at the limit. Must never give either decoder a frame before that walk.
 */
import { compress, decompress } from '@mongodb-js/zstd';
import { Decompress } from 'fzstd';
import { asBuffer, encodingCorrupt, encodingTooLarge, type MessageEncoding } from './encoding.js';

const NAME = 'zstd';

const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const BLOCK = { raw: 0, rle: 1, compressed: 2 } as const;
const BLOCK_BYTES_MAX = 128 * 1024;

/** Largest window of a frame. What level 19 uses; the usual levels need at most 8 MiB. */
const WINDOW_BYTES_MAX = 8 * 1024 * 1024;
/** Most frames in a message: a writer makes one. */
const FRAMES_MAX = 1024;
/** The native decoder may have what can become at most this many times the limit. */
const NATIVE_BOUND_FACTOR = 2;

export const zstd: MessageEncoding = {
  name: NAME,
  compress: (bytes) => compress(asBuffer(bytes)),
  decompress(bytes, bytesMax) {
    const input = asBuffer(bytes);
    const boundBytes = walkFrames(input, bytesMax);
    return boundBytes <= NATIVE_BOUND_FACTOR * bytesMax + BLOCK_BYTES_MAX
      ? unpackNative(input, bytesMax)
      : unpackByBlock(input, bytesMax);
  },
};

async function unpackNative(input: Buffer, bytesMax: number): Promise<Buffer> {
  let plain: Buffer;
  try {
    plain = await decompress(input);
  } catch (error) {
    throw encodingCorrupt(NAME, 'a frame is damaged', error);
  }
  if (plain.length > bytesMax) {
    throw encodingTooLarge(NAME, bytesMax);
  }
  return plain;
}

function unpackByBlock(input: Buffer, bytesMax: number): Buffer {
  const parts: Uint8Array[] = [];
  let roomBytes = bytesMax;
  const decoder = new Decompress((part) => {
    roomBytes -= part.length;
    if (roomBytes < 0) {
      throw encodingTooLarge(NAME, bytesMax);
    }
    parts.push(part.slice());
  });
  try {
    for (let at = 0; at < input.length; at += FEED_BYTES) {
      const end = Math.min(at + FEED_BYTES, input.length);
      decoder.push(input.subarray(at, end), end === input.length);
    }
  } catch (error) {
    if (roomBytes < 0) {
      throw encodingTooLarge(NAME, bytesMax);
    }
    throw encodingCorrupt(NAME, 'a frame is damaged', error);
  }
  return Buffer.concat(parts);
}

/** Bytes given to the block decoder at a time: small, since it unpacks all it is given at once. */
const FEED_BYTES = 256;

/** The most bytes that the frames can become; throws for what no decoder should see. */
function walkFrames(input: Buffer, bytesMax: number): number {
  let boundBytes = 0;
  let at = 0;
  for (let frames = 0; at < input.length; frames += 1) {
    if (frames === FRAMES_MAX) {
      throw encodingCorrupt(NAME, `more than ${FRAMES_MAX} frames`);
    }
    const magic = read(input, at, 4);
    if ((magic & ~0xf) >>> 0 === SKIPPABLE_MAGIC) {
      at += 8 + read(input, at + 4, 4);
    } else if (magic === FRAME_MAGIC) {
      const frame = walkFrame(input, at + 4, bytesMax);
      boundBytes += frame.boundBytes;
      at = frame.end;
    } else {
      throw encodingCorrupt(NAME, 'a frame does not begin with its magic number');
    }
  }
  if (at !== input.length) {
    throw encodingCorrupt(NAME, 'the last frame is cut short');
  }
  return boundBytes;
}

function walkFrame(
  input: Buffer,
  start: number,
  bytesMax: number,
): { boundBytes: number; end: number } {
  const { headerBytes, windowBytes, checksum } = frameHeader(input, start, bytesMax);
  const blockBytesMax = Math.min(windowBytes, BLOCK_BYTES_MAX);
  let at = start + headerBytes;
  let boundBytes = 0;
  for (;;) {
    const header = read(input, at, 3);
    at += 3;
    const type = (header >>> 1) & 3;
    const size = header >>> 3;
    if (type > BLOCK.compressed) {
      throw encodingCorrupt(NAME, 'a block has a reserved type');
    }
    if (size > BLOCK_BYTES_MAX) {
      throw encodingCorrupt(NAME, 'a block is larger than any may be');
    }
    boundBytes += type === BLOCK.compressed ? blockBytesMax : size;
    at += type === BLOCK.rle ? 1 : size;
    if ((header & 1) === 1) {
      break;
    }
  }
  return { boundBytes, end: at + (checksum ? 4 : 0) };
}

/** The part of a frame header that says how much memory the frame wants. */
function frameHeader(
  input: Buffer,
  start: number,
  bytesMax: number,
): { headerBytes: number; windowBytes: number; checksum: boolean } {
  const descriptor = read(input, start, 1);
  const singleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >>> 6] ?? 0;
  if ((descriptor & 0x08) !== 0) {
    throw encodingCorrupt(NAME, 'a frame uses a reserved bit');
  }
  let at = start + 1;
  let windowBytes = 0;
  if (!singleSegment) {
    const byte = read(input, at, 1);
    const base = 2 ** (10 + (byte >>> 3));
    windowBytes = base + (base / 8) * (byte & 7);
    at += 1;
    if (windowBytes > WINDOW_BYTES_MAX) {
      throw encodingCorrupt(NAME, `a frame wants a window of ${windowBytes} bytes`);
    }
  }
  if (dictionaryBytes > 0 && read(input, at, dictionaryBytes) !== 0) {
    throw encodingCorrupt(NAME, 'a frame needs a dictionary');
  }
  at += dictionaryBytes;
  if (sizeBytes > 0) {
    const contentBytes = contentSize(input, at, sizeBytes);
    if (contentBytes > bytesMax) {
      throw encodingTooLarge(NAME, bytesMax);
    }
    windowBytes = singleSegment ? contentBytes : windowBytes;
    at += sizeBytes;
  }
  return { headerBytes: at - start, windowBytes, checksum: (descriptor & 0x04) !== 0 };
}

function contentSize(input: Buffer, at: number, sizeBytes: number): number {
  if (sizeBytes === 8) {
    return read(input, at, 4) + read(input, at + 4, 4) * 2 ** 32;
  }
  return read(input, at, sizeBytes) + (sizeBytes === 2 ? 256 : 0);
}

function read(input: Buffer, at: number, bytes: number): number {
  if (at + bytes > input.length) {
    throw encodingCorrupt(NAME, 'a frame is cut short');
  }
  return input.readUIntLE(at, bytes);
}
