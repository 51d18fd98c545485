/**
 * What reading has to do: the bytes asked for, of one object, all of them or an error.
 */
import { describe, expect, it } from 'vitest';
import { type ObjectReading } from '../../port/object-store.js';
import { type Bench } from '../store-compliance.js';
import { bytesOf, patternOf, readBody } from './pieces.js';

export function describeReading(bench: () => Bench): void {
  describe('reading', () => {
    it('a range is these bytes, however it lies in the object', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}a`;
      const bytes = patternOf(1_000);
      await store.put(key, bytes);
      const ranges = [
        { start: 0 },
        { start: 0, end: 1 },
        { start: 17, end: 900 },
        { start: 999 },
        { start: 999, end: 1_000 },
        { start: 500, end: 5_000 },
        { start: 1_000 },
        { start: 3, end: 3 },
      ];
      for (const range of ranges) {
        const reading = await store.get(key, { range });
        expect(reading.info).toMatchObject({ key, sizeBytes: 1_000 });
        const want = bytes.subarray(range.start, range.end);
        expect((await readBody(reading)).equals(want), JSON.stringify(range)).toBe(true);
      }
    });

    it('a range beyond the object, or none at all, is refused', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}a`;
      await store.put(key, bytesOf('abc'));
      for (const range of [{ start: 4 }, { start: -1 }, { start: 2, end: 1 }, { start: 0.5 }]) {
        await expect(store.get(key, { range })).rejects.toMatchObject({ code: 'STORE_INVALID' });
      }
    });

    it('who reads on after an object was written anew is told', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}a`;
      const { etag } = await store.put(key, bytesOf('one'));
      const range = { start: 1 };
      expect((await readBody(await store.get(key, { range, etag }))).toString()).toBe('ne');
      await store.put(key, bytesOf('two'));
      const get = store.get(key, { range, etag });
      await expect(get).rejects.toMatchObject({ code: 'OBJECT_CHANGED', retryable: false });
    });

    it('a reader has the object that it opened, or an error, never a mixture', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}a`;
      const before = patternOf(4_000_000, 1);
      await store.put(key, before);
      const reading = await store.get(key);
      await store.put(key, patternOf(4_000_000, 2));
      await expectWholeOrError(reading, before);
    });

    it('a body may be left half read, or unread', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}a`;
      await store.put(key, patternOf(2_000_000));
      for await (const piece of (await store.get(key)).body) {
        expect(piece.length).toBeGreaterThan(0);
        break;
      }
      const unread = await store.get(key);
      await unread.discard();
      await unread.discard();
      expect(await readBody(unread)).toHaveLength(0);
      expect(await store.head(key)).toMatchObject({ sizeBytes: 2_000_000 });
    });

    it('what is not there is not found', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}a`;
      const notFound = { code: 'OBJECT_NOT_FOUND', retryable: false };
      await expect(store.head(key)).rejects.toMatchObject(notFound);
      await expect(store.get(key)).rejects.toMatchObject(notFound);
    });

    it('a caller gives a read up at any time', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}a`;
      await store.put(key, patternOf(4_000_000));
      const giveUp = new AbortController();
      const { body } = await store.get(key, { signal: giveUp.signal });
      const pieces = body[Symbol.asyncIterator]();
      await pieces.next();
      giveUp.abort();
      await expect(pieces.next()).rejects.toMatchObject({ code: 'STORE_ABORTED' });
      const late = store.head(key, { signal: giveUp.signal });
      await expect(late).rejects.toMatchObject({ code: 'STORE_ABORTED' });
    });
  });
}

async function expectWholeOrError(reading: ObjectReading, whole: Buffer): Promise<void> {
  try {
    expect((await readBody(reading)).equals(whole)).toBe(true);
  } catch (error) {
    expect(error).toHaveProperty('code');
  }
}
