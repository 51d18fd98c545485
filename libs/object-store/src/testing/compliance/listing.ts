/**
 * What listing has to do: every key of a prefix once, in the order of bytes, page by page.
 */
import { describe, expect, it } from 'vitest';
import { listAll } from '../../transfer/read-object.js';
import { type Bench } from '../store-compliance.js';
import { bytesOf } from './pieces.js';

/** In the order of their bytes, which is neither that of UTF-16 nor that of folders. */
const NAMES = [
  '%41',
  'A',
  'a',
  'a b',
  'a+b',
  'a-b',
  'a/b',
  'a/b/c',
  'a/b0',
  'a0',
  'a\u007f',
  'b',
  'x'.repeat(80),
  `${'x'.repeat(80)}-`,
  `${'x'.repeat(80)}/y`,
  `${'x'.repeat(80)}x`,
  'é',
  '\uffee',
  '😀',
];

export function describeListing(bench: () => Bench): void {
  describe('listing', () => {
    it('every key of a prefix comes once, in the order of bytes, whatever the pages', async () => {
      const { store, prefix } = bench();
      const below = prefix();
      await store.put(`${prefix()}neighbour`, bytesOf('x'));
      for (const name of [...NAMES].reverse()) await store.put(below + name, bytesOf(name));

      for (const limit of [1, 2, 7, NAMES.length, 1_000]) {
        const listed: string[] = [];
        let after: string | undefined;
        do {
          const page = await store.list(below, {
            limit,
            ...(after === undefined ? {} : { after }),
          });
          expect(page.objects.length).toBeLessThanOrEqual(limit);
          listed.push(...page.objects.map(({ key }) => key.slice(below.length)));
          after = page.next;
        } while (after !== undefined);
        expect(listed, `pages of ${limit}`).toEqual(NAMES);
      }
    });

    it('a prefix is text, and a list begins behind any key', async () => {
      const { store, prefix } = bench();
      const below = prefix();
      for (const name of ['a', 'ab', 'ab/c', 'b']) await store.put(below + name, bytesOf(name));
      const list = async (begin: string, after?: string): Promise<string[]> => {
        const keys: string[] = [];
        const options = after === undefined ? {} : { after: below + after };
        for await (const { key } of listAll(store, below + begin, options)) {
          keys.push(key.slice(below.length));
        }
        return keys;
      };
      expect(await list('a')).toEqual(['a', 'ab', 'ab/c']);
      expect(await list('ab')).toEqual(['ab', 'ab/c']);
      expect(await list('ab/')).toEqual(['ab/c']);
      expect(await list('c')).toEqual([]);
      expect(await list('', 'ab')).toEqual(['ab/c', 'b']);
      expect(await list('', 'ab/')).toEqual(['ab/c', 'b']);
      expect(await list('', 'aa')).toEqual(['ab', 'ab/c', 'b']);
      expect(await list('a', 'b')).toEqual([]);
    });

    it('a list tells what head tells', async () => {
      const { store, prefix } = bench();
      const below = prefix();
      await store.put(`${below}a`, bytesOf('abc'));
      const [listed] = (await store.list(below)).objects;
      const head = await store.head(`${below}a`);
      expect(listed).toMatchObject({ key: head.key, sizeBytes: 3, etag: head.etag });
      expect(Math.abs((listed?.modifiedAtMs ?? 0) - head.modifiedAtMs)).toBeLessThan(2_000);
      expect(Math.abs(head.modifiedAtMs - Date.now())).toBeLessThan(600_000);
    });

    it('a limit out of bounds is refused', async () => {
      const { store } = bench();
      for (const limit of [0, -1, 1.5, 1_001, Number.NaN]) {
        const list = Promise.resolve().then(() => store.list('', { limit }));
        await expect(list).rejects.toMatchObject({ code: 'STORE_INVALID' });
      }
    });
  });
}
