/** A folder lists, page by page, what a plain map of the same keys would. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ObjectStore } from '../port/object-store.js';
import { anyKey } from '../testing/any-key.js';
import { MemoryStore } from '../testing/memory-store.js';
import { FileSystemStore } from './file-system-store.js';

describe('the order of lists', () => {
  it('keys, prefixes and pages are those of the model, deletions included', async () => {
    const keys = fc.uniqueArray(anyKey(), { maxLength: 20 });
    const question = fc.record({
      cut: fc.nat(20),
      limit: fc.integer({ min: 1, max: 5 }),
      after: fc.option(anyKey(), { nil: undefined }),
      deleted: fc.nat(3),
    });
    await fc.assert(
      fc.asyncProperty(keys, question, async (all, { cut, limit, after, deleted }) => {
        const folder = await mkdtemp(join(tmpdir(), 'object-store-'));
        const store = await FileSystemStore.open({ folder });
        const model = new MemoryStore();
        for (const each of [store, model]) {
          for (const key of all) await each.put(key, Buffer.from(key));
          for (const key of all.slice(0, deleted)) await each.delete(key);
        }
        const first = [...(all[0] ?? '')].slice(0, cut).join('');
        for (const prefix of ['', first.replace(/\/+$/, '')]) {
          const options = { limit, ...(after === undefined ? {} : { after }) };
          expect(await keysOf(store, prefix, options)).toEqual(
            await keysOf(model, prefix, options),
          );
        }
        await rm(folder, { recursive: true });
      }),
      { numRuns: 60 },
    );
  });
});

async function keysOf(
  store: ObjectStore,
  prefix: string,
  options: { readonly limit: number; readonly after?: string },
): Promise<string[]> {
  const keys: string[] = [];
  let { after } = options;
  do {
    const page = await store.list(prefix, {
      limit: options.limit,
      ...(after === undefined ? {} : { after }),
    });
    keys.push(...page.objects.map(({ key }) => key));
    after = page.next;
  } while (after !== undefined);
  return keys;
}
