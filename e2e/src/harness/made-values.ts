/**
 * Values that nobody needs to keep: the same ones for the same numbers, and too random to be packed.
 *
 * In: a seed, a number, a size. Out: bytes (AES in counter mode over nothing).
 */
import { createCipheriv, createHash } from 'node:crypto';

const BLOCK_BYTES = 16;

export class MadeValues {
  private readonly key: Buffer;

  constructor(
    seed: number,
    private readonly bytesMin: number,
    private readonly bytesMax: number,
  ) {
    this.key = createHash('sha256').update(`seed ${seed}`).digest().subarray(0, BLOCK_BYTES);
  }

  /** Value of a number, from 0. */
  value(nth: number): Buffer {
    const place = Buffer.alloc(BLOCK_BYTES);
    // Blocks are counted from the other end: numbers do not run into each other.
    place.writeBigUInt64BE(BigInt(nth));
    const cipher = createCipheriv('aes-128-ctr', this.key, place);
    const size = cipher.update(Buffer.alloc(BLOCK_BYTES)).readUInt32LE();
    const bytes = this.bytesMin + (size % (this.bytesMax - this.bytesMin + 1));
    return cipher.update(Buffer.alloc(bytes));
  }
}
