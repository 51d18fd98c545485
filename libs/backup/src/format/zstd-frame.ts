/**
 * Zstandard (RFC 8878), with a bound on what comes out.
 *
 * The native decoder has no limit of its own, so the blocks of the one frame that we write are walked
 * first, without unpacking anything: a few bytes must not become more than the chunk may hold.
 */
import { decompress } from '@mongodb-js/zstd';
import { compress } from '@mongodb-js/zstd/bindings.js';

const FRAME_MAGIC = 0xfd2fb528;
const BLOCK_BYTES_MAX = 128 * 1024;
const BLOCK_COMPRESSED = 2;
/** Blocks may be smaller than they could be; a writer that makes them 16 times as many is no writer of ours. */
const SLACK = 16;
/** The fastest one: on rows as they usually are, the next ones save little and cost a quarter more. */
const LEVEL = 1;

export function packZstd(plain: Buffer): Promise<Buffer> {
  return compress(plain, LEVEL);
}

/** Throws an `Error` that says what is wrong; the caller knows which object it is. */
export async function unpackZstd(packed: Buffer, plainBytes: number): Promise<Buffer> {
  if (boundOf(packed) > SLACK * (plainBytes + BLOCK_BYTES_MAX)) {
    throw new Error(`it would unpack to far more than ${plainBytes} bytes`);
  }
  const plain = await decompress(packed);
  if (plain.length !== plainBytes) {
    throw new Error(`it unpacks to ${plain.length} bytes, not ${plainBytes}`);
  }
  return plain;
}

/** The most bytes that the one frame can become. */
function boundOf(packed: Buffer): number {
  if (packed.length < 6 || packed.readUInt32LE(0) !== FRAME_MAGIC) {
    throw new Error('it is not packed with zstd');
  }
  const descriptor = packed.readUInt8(4);
  const single = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeBytes = [single ? 1 : 0, 2, 4, 8][descriptor >>> 6] ?? 0;
  let at = 5 + (single ? 0 : 1) + dictionaryBytes + sizeBytes;
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
  if (at + ((descriptor & 4) !== 0 ? 4 : 0) !== packed.length) {
    throw new Error('something follows its frame');
  }
  return bound;
}
