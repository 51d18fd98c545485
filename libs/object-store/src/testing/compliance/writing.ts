/**
 * What writing and deleting has to do: whole objects or none, and one winner of a race.
 */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type Bench } from '../store-compliance.js';
import { bytesOf, inPieces, patternOf, readBody, thenFails, thenHangs } from './pieces.js';

export function describeWriting(bench: () => Bench): void {
  describe('writing', () => {
    it('an object is what was last written', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}a`;
      await store.put(key, bytesOf('one'));
      const info = await store.put(key, inPieces(bytesOf('another'), 3));

      expect(info).toMatchObject({ key, sizeBytes: 7 });
      expect((await readBody(await store.get(key))).toString()).toBe('another');
      expect(await store.head(key)).toMatchObject({ key, sizeBytes: 7, etag: info.etag });
    });

    it('an object may be empty', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}empty`;
      await store.put(key, inPieces(bytesOf(''), 1));
      expect(await store.head(key)).toMatchObject({ sizeBytes: 0 });
      expect(await readBody(await store.get(key))).toHaveLength(0);
    });

    it('a body larger than several parts arrives as it was', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}large`;
      const bytes = patternOf(store.partBytes * 3 + 17);
      await store.put(key, inPieces(bytes, Math.ceil(store.partBytes / 3)));
      expect((await readBody(await store.get(key))).equals(bytes)).toBe(true);
    });

    it('keys may hold any text, and a key may lie below another', async () => {
      const { store, prefix } = bench();
      const below = prefix();
      const names = ['a', 'a/b', 'a/b/c', 'ä ö+%2F~&?#=\\', 'x'.repeat(300), '日本/語', '...', 'A'];
      for (const name of names) await store.put(below + name, bytesOf(name));
      for (const name of names) {
        expect((await readBody(await store.get(below + name))).toString()).toBe(name);
      }
    });

    it('a body that fails leaves the object that was there', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}a`;
      await store.put(key, bytesOf('before'));
      const large = patternOf(store.partBytes * 2);
      await expect(store.put(key, thenFails(large, new Error('cut')))).rejects.toThrow('cut');
      expect((await readBody(await store.get(key))).toString()).toBe('before');
    });

    it('a body that hangs is given up at the deadline, and nothing is seen of it', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}a`;
      const put = store.put(key, thenHangs(bytesOf('half')), { deadlineMs: 200 });
      await expect(put).rejects.toMatchObject({ code: 'STORE_DEADLINE', retryable: true });
      await expect(store.head(key)).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
    });

    it('a caller gives a write up at any time', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}a`;
      const giveUp = new AbortController();
      const put = store.put(key, thenHangs(bytesOf('half')), { signal: giveUp.signal });
      giveUp.abort();
      await expect(put).rejects.toMatchObject({ code: 'STORE_ABORTED' });
      const late = store.put(key, bytesOf('x'), { signal: giveUp.signal });
      await expect(late).rejects.toMatchObject({ code: 'STORE_ABORTED' });
      await expect(store.head(key)).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
    });

    it('a body that is not what was expected is not seen', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}a`;
      const bytes = patternOf(store.partBytes * 2 + 5);
      const sha256Hex = createHash('sha256').update(bytes).digest('hex');
      const wrong = [{ sizeBytes: bytes.length + 1 }, { sha256Hex: '0'.repeat(64) }];
      for (const expected of wrong) {
        const put = store.put(key, inPieces(bytes, 100_000), { expected });
        await expect(put).rejects.toMatchObject({ code: 'OBJECT_CORRUPT', retryable: false });
      }
      await expect(store.head(key)).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
      const expected = { sizeBytes: bytes.length, sha256Hex };
      await store.put(key, inPieces(bytes, 100_000), { expected });
      expect(await store.head(key)).toMatchObject({ sizeBytes: bytes.length });
    });

    it('what is no key is refused, by name', async () => {
      const { store } = bench();
      for (const key of ['', '/a', 'a/', 'a//b', '..', 'a/../b', './a', 'a\0', 'x'.repeat(769)]) {
        const put = Promise.resolve().then(() => store.put(key, bytesOf('x')));
        await expect(put, JSON.stringify(key)).rejects.toMatchObject({ code: 'STORE_INVALID' });
      }
    });
  });

  describeConditionalWrites(bench);
  describeDeleting(bench);
}

function describeConditionalWrites(bench: () => Bench): void {
  describe('writing if absent', () => {
    it('says whether it is offered, and refuses where it is not', async () => {
      const { store, prefix, conditionalWrites } = bench();
      expect(await store.canPutIfAbsent()).toBe(conditionalWrites);
      if (conditionalWrites) return;
      const key = `${prefix()}a`;
      const put = store.putIfAbsent(key, bytesOf('x'));
      await expect(put).rejects.toMatchObject({ code: 'STORE_UNSUPPORTED' });
      await expect(store.head(key)).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
    });

    it('of many writers at once one wins, and its object stays', async ({ skip }) => {
      const { store, prefix, conditionalWrites } = bench();
      if (!conditionalWrites) skip();
      const key = `${prefix()}a`;
      const writers = Array.from({ length: 8 }, (_, at) => `writer ${at}`);
      const ends = await Promise.allSettled(
        writers.map((name) => store.putIfAbsent(key, inPieces(bytesOf(name), 4))),
      );
      const winners = writers.filter((_, at) => ends[at]?.status === 'fulfilled');
      expect(winners).toHaveLength(1);
      for (const end of ends) {
        if (end.status === 'rejected') expect(end.reason).toMatchObject({ code: 'OBJECT_EXISTS' });
      }
      expect((await readBody(await store.get(key))).toString()).toBe(winners[0]);
    });

    it('a body of several parts does not write over an object either', async ({ skip }) => {
      const { store, prefix, conditionalWrites } = bench();
      if (!conditionalWrites) skip();
      const key = `${prefix()}a`;
      const bytes = patternOf(store.partBytes * 2 + 1);
      await store.putIfAbsent(key, inPieces(bytes, 100_000));
      const again = store.putIfAbsent(key, inPieces(bytes, 100_000));
      await expect(again).rejects.toMatchObject({ code: 'OBJECT_EXISTS', retryable: false });
      expect((await store.listUploads(key)).uploads).toEqual([]);
    });
  });
}

function describeDeleting(bench: () => Bench): void {
  describe('deleting', () => {
    it('what was deleted is not there, and may be deleted again', async () => {
      const { store, prefix } = bench();
      const below = prefix();
      await store.put(`${below}a/b`, bytesOf('x'));
      await store.put(`${below}a/c`, bytesOf('x'));
      await store.delete(`${below}a/b`);
      await store.delete(`${below}a/b`);
      await expect(store.get(`${below}a/b`)).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
      expect(await store.head(`${below}a/c`)).toMatchObject({ sizeBytes: 1 });
    });

    it('many go at once, whether they are there or not', async () => {
      const { store, prefix } = bench();
      const below = prefix();
      const names = ['a', 'b & <c>', 'line\nbreak', 'bell\u0007', 'ü'];
      for (const name of names) await store.put(below + name, bytesOf('x'));
      await store.put(`${below}kept`, bytesOf('x'));
      const keys = [...names, 'never was'].map((name) => below + name);
      expect(await store.deleteMany(keys)).toEqual([]);
      const { objects } = await store.list(below);
      expect(objects.map(({ key }) => key)).toEqual([`${below}kept`]);
      expect(await store.deleteMany([])).toEqual([]);
    });
  });
}
