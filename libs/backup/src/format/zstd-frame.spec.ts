/** Packing: the level is the one that was chosen. */
import { compress } from '@mongodb-js/zstd';
import { describe, expect, it } from 'vitest';
import { packZstd, unpackZstd } from './zstd-frame.js';

/** Words that come again and again, at distances that levels treat differently. */
const TEXT = Buffer.from(
  Array.from({ length: 20_000 }, (_, at) => `order-${(at * 7_919) % 10_007} is open; `).join(''),
);

describe('a frame', () => {
  it('is packed at a level of our own, and not at the slower one that the package falls back to', async () => {
    const packed = await packZstd(TEXT);
    expect(packed.equals(await compress(TEXT))).toBe(false);
    expect((await unpackZstd(packed, TEXT.length)).equals(TEXT)).toBe(true);
  });
});
