/** A store that refuses calls, loses answers and cuts bodies: a backup is whole or not there, never wrong. */
import { FaultyStore } from '@flotilla/object-store/testing';
import { describe, expect, it } from 'vitest';
import { verifyChain } from '../src/index.js';
import { FakeCluster } from '../src/testing/index.js';
import { Bench, KEYS, NEVER, recordsAt } from './support/backups.js';

const RUNS_MAX = 200;

describe('with a store that fails', () => {
  it.each([1, 2, 3, 4, 5, 6])(
    'seed %i: what is listed as good is the table, whole',
    async (seed) => {
      const cluster = new FakeCluster();
      cluster.rowsPerChunk = 20;
      const table = cluster.create('t');
      for (let at = 0; at < 120; at++) {
        table.put(Buffer.from(`key ${String(at).padStart(4, '0')}`), Buffer.alloc(300, at));
      }
      const bench = new Bench(cluster);
      const chances = { refused: 0.15, answerLost: 0.15, writeCut: 0.1, readCut: 0.1 };
      const store = new FaultyStore(bench.store, { seed, ...chances });
      let made: string | undefined;
      for (let run = 0; run < RUNS_MAX && made === undefined; run++) {
        const outcome = await bench.create({ keyId: 'k1' }, store).catch(() => undefined);
        made = outcome?.id;
        const { good, unreadable } = await bench.catalog.list();
        expect(unreadable).toEqual([]);
        for (const { id } of good) {
          const parts = {
            objects: bench.objects,
            keys: KEYS,
            signal: NEVER,
            onTable: () => undefined,
          };
          const report = await verifyChain(parts, await bench.catalog.chain(id));
          expect(report.problems).toEqual([]);
        }
      }
      expect(store.faults).toBeGreaterThan(5);
      expect(await bench.rows(made ?? '', 't')).toEqual(recordsAt(table, table.revision));
    },
  );
});
