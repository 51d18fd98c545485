/** Chunks of several frames, with a key and without: what comes out is what went in, or nothing does. */
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { openChunk, sealChunk, sha256Of } from './chunk-codec.js';
import { FRAME_PLAIN_BYTES } from './zstd-frame.js';

const PLACE = { backup: 'b', table: 7, part: 'chunk 1' };
const OBJECT = 'tables/7/x.chunk';
const KEY = { id: 'k', secret: randomBytes(32) };
const PLAIN = Buffer.concat([
  randomBytes(FRAME_PLAIN_BYTES),
  Buffer.alloc(FRAME_PLAIN_BYTES, 'again and '),
  randomBytes(999),
]);

describe.each([
  ['without a key', undefined],
  ['with a key', KEY],
])('a chunk of three frames %s', (_name, key) => {
  it('is opened, and has the SHA-256 that it says', async () => {
    const { bytes, sha256 } = await sealChunk(PLAIN, PLACE, key);
    expect(sha256).toBe(sha256Of(bytes));
    expect(bytes.length).toBeLessThan(PLAIN.length);
    expect((await openChunk(bytes, sha256, PLACE, key, OBJECT)).equals(PLAIN)).toBe(true);
  });

  it('is refused with one bit flipped anywhere, by its hash', async () => {
    const { bytes, sha256 } = await sealChunk(PLAIN, PLACE, key);
    for (let at = 0; at < bytes.length; at += 9_973) {
      const flipped = Buffer.from(bytes);
      flipped.writeUInt8(flipped.readUInt8(at) ^ 4, at);
      await expect(openChunk(flipped, sha256, PLACE, key, OBJECT)).rejects.toThrow(OBJECT);
    }
  });
});

it('a chunk with a key is refused with one bit flipped anywhere, whatever its hash', async () => {
  const { bytes } = await sealChunk(PLAIN, PLACE, KEY);
  for (let at = 0; at < bytes.length; at += 9_973) {
    const flipped = Buffer.from(bytes);
    flipped.writeUInt8(flipped.readUInt8(at) ^ 4, at);
    const opened = openChunk(flipped, sha256Of(flipped), PLACE, KEY, OBJECT);
    await expect(opened).rejects.toThrow(OBJECT);
  }
});
