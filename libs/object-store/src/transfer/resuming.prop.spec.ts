/** A transfer that was cut anywhere goes on from there, and ends in the same bytes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasCode } from '../port/errors.js';
import { FaultyStore } from '../testing/faulty-store.js';
import { inPieces, patternOf, readBody } from '../testing/compliance/pieces.js';
import { MemoryStore } from '../testing/memory-store.js';
import { readResuming, uploadParts } from './resuming.js';

const PART_BYTES = 100;

describe('transfers that are cut', () => {
  it('an upload goes on behind any part, and sends none twice', async () => {
    const sizes = fc.integer({ min: 1, max: 1_500 });
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(15), fc.nat(1_500), async (sizeBytes, cutPart, pieceBytes) => {
        const store = new MemoryStore({ partBytes: PART_BYTES });
        const bytes = patternOf(sizeBytes);
        const body = (): AsyncIterable<Uint8Array> => inPieces(bytes, pieceBytes + 1);
        const upload = await store.startUpload('a');
        const sent: number[] = [];
        let partsLeft = cutPart;
        const counted = (inner: typeof upload): typeof upload => ({
          ...inner,
          putPart: async (partNumber, part, options) => {
            if (partsLeft === 0) throw new Error('the process died');
            partsLeft -= 1;
            sent.push(partNumber);
            return await inner.putPart(partNumber, part, options);
          },
        });
        const parts = Math.ceil(sizeBytes / PART_BYTES);
        const first = uploadParts(store, counted(upload), body());
        if (cutPart < parts) await expect(first).rejects.toThrow('died');
        else await first;
        if (cutPart < parts) {
          partsLeft = Number.POSITIVE_INFINITY;
          const resumed = await store.resumeUpload('a', upload.uploadId);
          await uploadParts(store, counted(resumed), body());
        }
        expect((await readBody(await store.get('a'))).equals(bytes)).toBe(true);
        expect(sent.sort((left, right) => left - right)).toEqual(
          Array.from({ length: parts }, (_, at) => at + 1),
        );
      }),
    );
  });

  it('a part that is there with other bytes is sent again', async () => {
    const store = new MemoryStore({ partBytes: PART_BYTES });
    const upload = await store.startUpload('a');
    await upload.putPart(1, patternOf(PART_BYTES, 7));
    await upload.putPart(2, patternOf(PART_BYTES, 8));
    const bytes = patternOf(PART_BYTES * 2 - 1);
    await uploadParts(store, upload, inPieces(bytes, 30));
    expect((await readBody(await store.get('a'))).equals(bytes)).toBe(true);
  });

  it('a download goes on behind any byte, over calls that are refused', async () => {
    const seeds = fc.integer();
    await fc.assert(
      fc.asyncProperty(seeds, fc.nat(400_000), async (seed, start) => {
        const inner = new MemoryStore();
        const bytes = patternOf(400_000);
        await inner.put('a', bytes);
        const store = new FaultyStore(inner, { seed, refused: 0.3, readCut: 0.4 });
        const options = { attemptsMax: 100, backoffMsMin: 0.001, range: { start } };
        const pieces: Uint8Array[] = [];
        for await (const piece of readResuming(store, 'a', options)) pieces.push(piece);
        expect(Buffer.concat(pieces).equals(bytes.subarray(start))).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it('a download of an object that was written anew ends, and never mixes', async () => {
    const inner = new MemoryStore();
    await inner.put('a', patternOf(400_000, 1));
    const store = new FaultyStore(inner, { seed: 1, readCut: 1 });
    store.isFaulty = false;
    const pieces = readResuming(store, 'a', { backoffMsMin: 1 });
    await pieces.next();
    await inner.put('a', patternOf(400_000, 2));
    store.isFaulty = true;
    await expect(pieces.next()).rejects.toMatchObject({ code: 'OBJECT_CHANGED' });
  });

  it('a download that gets nowhere ends after a bounded number of cuts', async () => {
    const inner = new MemoryStore();
    await inner.put('a', patternOf(10));
    const store = new FaultyStore(inner, { seed: 1, readCut: 1 });
    const read = readBodyOf(readResuming(store, 'a', { attemptsMax: 3, backoffMsMin: 1 }));
    await expect(read).rejects.toSatisfy((error) => hasCode(error, 'STORE_UNAVAILABLE'));
    expect(store.faults).toBe(3);
  });

  it('the same seed gives the same faults', async () => {
    const run = async (seed: number): Promise<number[]> => {
      const store = new FaultyStore(new MemoryStore(), { seed, refused: 0.5 });
      const refused: number[] = [];
      for (let at = 0; at < 50; at += 1) {
        await store.put('a', patternOf(1)).catch(() => refused.push(at));
      }
      return refused;
    };
    expect(await run(7)).toEqual(await run(7));
    expect(await run(7)).not.toEqual(await run(8));
  });
});

async function readBodyOf(pieces: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const piece of pieces) expect(piece.length).toBeGreaterThan(0);
}
