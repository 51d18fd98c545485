/**
 * Pages of single keys, from memory or read together, are those that a read of one key gives.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VersionCache } from '../cache/version-cache.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import { bytes, del, entries, put, shownFully } from '../testing/commands.js';
import { type RangePage } from './table-types.js';
import { TableStateMachine } from './table-state-machine.js';

const key = fc.integer({ min: 0, max: 12 }).map((at) => `key/${at}`);
const change = fc.record({ key, isPut: fc.boolean(), size: fc.nat({ max: 300 }) });
const asked = fc.record({ key, keysOnly: fc.boolean(), countOnly: fc.boolean() });

const shown = ({ kvs, more, count }: RangePage) => ({ kvs: kvs.map(shownFully), more, count });

describe('pages of single keys', () => {
  it('are the same whether memory has them, the engine is asked for all at once, or for each', () => {
    const given = fc.record({
      changes: fc.array(change, { maxLength: 40 }),
      asked: fc.array(asked, { minLength: 1, maxLength: 20 }),
      cacheBytes: fc.constantFrom(0, 700, 64 * 1024),
    });
    fc.assert(
      fc.property(given, ({ changes, asked: all, cacheBytes }) => {
        const engine = openMemoryEngine();
        const cache = new VersionCache({ bytesMax: cacheBytes });
        const table = new TableStateMachine({ engine, tableId: 1, cache });
        const commands = changes.map(({ key: name, isPut, size }) =>
          isPut ? put(name, 'v'.repeat(size)) : del(name),
        );
        table.apply(entries(commands));
        const plain = new TableStateMachine({ engine, tableId: 1 });
        const queries = all.map((query) => ({ ...query, key: bytes(query.key) }));
        const expected = queries.map((query) => shown(plain.range(query)));
        for (const [at, query] of queries.entries()) {
          const kept = table.keptPage(query);
          if (kept !== undefined) expect(shown(kept)).toEqual(expected[at]);
        }
        expect(table.pagesOfKeys(queries).map(shown)).toEqual(expected);
        expect(plain.keptPage(queries[0] ?? { key: bytes('') })).toBeUndefined();
      }),
      { numRuns: 200 },
    );
  });
});
