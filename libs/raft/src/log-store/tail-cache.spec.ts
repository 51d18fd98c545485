import { describe, expect, it } from 'vitest';
import { TailCache } from './tail-cache.js';

const BLOCK_BYTES = 256 * 1024;
const LARGE_BYTES = 3 * BLOCK_BYTES;
const SMALL_BYTES = 100;

const open = () => new TailCache(BLOCK_BYTES, 1024 * BLOCK_BYTES);

describe('the cached tail of a log', () => {
  it('keeps small frames in the block of the large one before them', () => {
    const cache = open();
    let offset = 0;
    for (let nth = 0; nth < 10; nth++) {
      for (const bytes of [LARGE_BYTES, SMALL_BYTES]) {
        const block = cache.blockAt({ segment: 1, offset }, bytes);
        block.used += bytes;
        offset += bytes;
      }
    }
    expect(cache.bytes).toBeLessThan(10 * (LARGE_BYTES + BLOCK_BYTES / 2));
    expect(cache.find(1, offset - 1)).toBeDefined();
  });

  it('forgets a block that all was moved out of', () => {
    const cache = open();
    const position = { segment: 1, offset: 32 };
    const first = cache.blockAt(position, SMALL_BYTES);
    first.bytes[0] = 7;
    first.used = SMALL_BYTES;
    const moved = cache.moveTail(first, position, LARGE_BYTES);
    expect(cache.find(1, position.offset)).toBe(moved);
    expect([moved.bytes[0], moved.used]).toEqual([7, SMALL_BYTES]);
    expect(cache.bytes).toBe(moved.bytes.length);
  });
});
