/** Packing: in pieces, at the level that was chosen; and what is not of our making is refused. */
import { randomBytes } from 'node:crypto';
import { compress } from '@mongodb-js/zstd';
import { describe, expect, it } from 'vitest';
import { FRAME_PLAIN_BYTES, packZstd, unpackZstd } from './zstd-frame.js';

/** Words that come again and again, at distances that levels treat differently. */
const TEXT = Buffer.from(
  Array.from({ length: 20_000 }, (_, at) => `order-${(at * 7_919) % 10_007} is open; `).join(''),
);

async function framesOf(plain: Buffer): Promise<Buffer[]> {
  const frames: Buffer[] = [];
  for await (const frame of packZstd(plain)) frames.push(frame);
  return frames;
}

describe('packed bytes', () => {
  it('are packed at a level of our own, and not at the slower one that the package falls back to', async () => {
    const piece = TEXT.subarray(0, FRAME_PLAIN_BYTES);
    const [packed, ...more] = await framesOf(piece);
    expect(more).toEqual([]);
    expect(packed?.equals(await compress(piece))).toBe(false);
  });

  it.each([
    ['nothing', 0, 1],
    ['a byte', 1, 1],
    ['a frame', FRAME_PLAIN_BYTES, 1],
    ['a frame and a byte', FRAME_PLAIN_BYTES + 1, 2],
    ['several frames', 5 * FRAME_PLAIN_BYTES - 7, 5],
  ])('of %s become what they were', async (_name, bytes, count) => {
    const plain = randomBytes(bytes);
    const frames = await framesOf(plain);
    expect(frames).toHaveLength(count);
    expect((await unpackZstd(Buffer.concat(frames), bytes)).equals(plain)).toBe(true);
  });

  it('may be one frame, however large: backups were made so', async () => {
    expect((await unpackZstd(await compress(TEXT), TEXT.length)).equals(TEXT)).toBe(true);
  });

  it.each([-1, 1])('are refused where they claim %i byte more than they hold', async (more) => {
    const packed = Buffer.concat(await framesOf(TEXT));
    await expect(unpackZstd(packed, TEXT.length + more)).rejects.toThrow(/unpacks to \d+ bytes/);
  });

  it('are refused if they would become far more than they claim', async () => {
    const zeros = await compress(Buffer.alloc(64 * 1024 * 1024));
    await expect(unpackZstd(zeros, 1_000)).rejects.toThrow('far more than 1000 bytes');
    const [small] = await framesOf(Buffer.alloc(1_000));
    const both = Buffer.concat([small ?? Buffer.alloc(0), zeros]);
    await expect(unpackZstd(both, 2_000)).rejects.toThrow('far more than 2000 bytes');
  });

  it('are refused where one is cut short, or followed by something else', async () => {
    const packed = Buffer.concat(await framesOf(TEXT));
    const unpack = (bytes: Buffer) => unpackZstd(bytes, TEXT.length);
    await expect(unpack(packed.subarray(0, -1))).rejects.toThrow('cut short');
    await expect(unpack(packed.subarray(0, 3))).rejects.toThrow('not packed with zstd');
    await expect(unpack(Buffer.alloc(0))).rejects.toThrow('not packed with zstd');
    await expect(unpack(Buffer.concat([packed, randomBytes(9)]))).rejects.toThrow('follows');
    await expect(unpack(Buffer.concat([packed, packed]))).rejects.toThrow(/unpacks to/);
  });
});
