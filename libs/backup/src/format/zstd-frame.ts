/**
 * Zstandard (RFC 8878), a piece at a time, with a bound on what comes out.
 *
 *   plain bytes --every 256 KiB--> a frame of its own   |   frames, one after the other --> plain bytes
 *
 * A thread that packs a whole chunk at once keeps a processor for 20 ms, and whoever was woken on it
 * waits: many kernels look again at a tick only. The native decoder has no limit of its own, so the
 * blocks of all frames are walked first, without unpacking anything: a few bytes must not become more than
 * the chunk may hold.
 */
import { decompress } from '@mongodb-js/zstd';
import { compress } from '@mongodb-js/zstd/bindings.js';

/** Plain bytes of a frame: half a millisecond. Frames of half the size pack text by 3 % worse. */
export const FRAME_PLAIN_BYTES = 256 * 1024;
const FRAME_MAGIC = 0xfd2fb528;
const BLOCK_BYTES_MAX = 128 * 1024;
const BLOCK_COMPRESSED = 2;
/** Blocks may be smaller than they could be; a writer that makes them 16 times as many is no writer of ours. */
const SLACK = 16;
/** The fastest one: on rows as they usually are, the next ones save little and cost a quarter more. */
const LEVEL = 1;

/** Frames to be put one behind the other; one of nothing if there is nothing. */
export async function* packZstd(plain: Buffer): AsyncGenerator<Buffer, void, undefined> {
  let at = 0;
  do {
    yield await compress(plain.subarray(at, at + FRAME_PLAIN_BYTES), LEVEL);
    at += FRAME_PLAIN_BYTES;
  } while (at < plain.length);
}

/** Throws an `Error` that says what is wrong; the caller knows which object it is. */
export async function unpackZstd(packed: Buffer, plainBytes: number): Promise<Buffer> {
  let bound = 0;
  let at = 0;
  do {
    const frame = frameAt(packed, at);
    bound += frame.bound;
    at = frame.end;
  } while (at < packed.length);
  if (bound > SLACK * (plainBytes + BLOCK_BYTES_MAX)) {
    throw new Error(`it would unpack to far more than ${plainBytes} bytes`);
  }
  const plain = await decompress(packed);
  if (plain.length === plainBytes) return plain;
  throw new Error(`it unpacks to ${plain.length} bytes, not ${plainBytes}`);
}

interface Frame {
  readonly end: number;
  /** The most bytes that it can become. */
  readonly bound: number;
}

/** Throws an `Error` if none begins there, or it is cut short. */
function frameAt(packed: Buffer, start: number): Frame {
  if (start + 6 > packed.length || packed.readUInt32LE(start) !== FRAME_MAGIC) {
    throw new Error(start === 0 ? 'it is not packed with zstd' : 'something follows its frames');
  }
  const descriptor = packed.readUInt8(start + 4);
  const single = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeBytes = [single ? 1 : 0, 2, 4, 8][descriptor >>> 6] ?? 0;
  let at = start + 5 + (single ? 0 : 1) + dictionaryBytes + sizeBytes;
  let bound = 0;
  for (let last = false; !last;) {
    if (at + 3 > packed.length) throw new Error('its frame is cut short');
    const header = packed.readUIntLE(at, 3);
    last = (header & 1) === 1;
    const type = (header >>> 1) & 3;
    const size = header >>> 3;
    if (type > BLOCK_COMPRESSED || size > BLOCK_BYTES_MAX) throw new Error('it has a bad block');
    bound += type === BLOCK_COMPRESSED ? BLOCK_BYTES_MAX : size;
    at += 3 + (type === 1 ? 1 : size);
  }
  const end = at + ((descriptor & 4) !== 0 ? 4 : 0);
  if (end > packed.length) throw new Error('its frame is cut short');
  return { end, bound };
}
