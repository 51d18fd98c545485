/**
 * Each fault of a soak alone: a follower cluster of three nodes with two gateways under writers, and after the fault
 * the same rows with the same revisions in both clusters. What other tests of replication break is not here.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { waitUntil } from '../../harness/cluster.js';
import { tableHash } from '../../harness/table-hash.js';
import { Random } from '../../faults/random.js';
import {
  deleteCopies,
  killLeaderGateway,
  killNode,
  OlderState,
  recreateTable,
  restoreTable,
} from './leader-faults.js';
import { cutLink, killInSnapshot, pausePuller, sayNoTables, slowLink } from './site-faults.js';
import { SoakClusters, type FollowerSite } from './soak-clusters.js';
import { untilEqual } from './soak-equality.js';
import { SoakWriters } from './soak-writers.js';

const SEED = Number(process.env['FLOTILLA_E2E_SEED'] ?? Math.floor(Math.random() * 1_000_000));
const TABLES = ['a', 'b'] as const;
const WRITERS = 4;
const EQUAL_MS = 120_000;
const SHORT_MS = 1_000;
const SETTLE_MS = 500;
const LOST_WRITES = 50;
const STILL_ROWS = 100;
const STILL_ROW_BYTES = 8_192;

let clusters: SoakClusters;
let site: FollowerSite;
let writers: SoakWriters;
const random = new Random(SEED);

beforeAll(async () => {
  console.log(`seed ${SEED}`);
  clusters = await SoakClusters.start(3, [{ nodes: 3, gateways: 2 }]);
  site = clusters.site(0);
  const value = Buffer.alloc(STILL_ROW_BYTES, 'still ');
  for (const table of TABLES) {
    await clusters.client.createTable(table);
    for (let nth = 0; nth < STILL_ROWS; nth++) {
      await clusters.client.put({ table, key: `still ${nth}`, value });
    }
  }
  await untilEqual(clusters, EQUAL_MS);
});
afterAll(() => clusters.dispose());

beforeEach(() => {
  writers = new SoakWriters([clusters.client, site.client], TABLES, random.fork(), WRITERS);
  writers.start();
});
afterEach(() => writers.stop());

/** There were writes before and after, and whatever they did is in both clusters. */
async function expectEqual(): Promise<void> {
  const before = writers.writes;
  const isWritten = () => writers.writes > before + 20;
  await waitUntil('there are writes after it', isWritten);
  await writers.stop();
  const { tables, rows } = await untilEqual(clusters, EQUAL_MS);
  expect(tables).toBe(TABLES.length);
  expect(rows).toBeGreaterThan(0);
}

describe('the check of a soak', () => {
  it('finds a row that one cluster lacks, and a table', async () => {
    await writers.stop();
    await untilEqual(clusters, EQUAL_MS);
    for (const gateway of site.gateways) gateway.signal('SIGSTOP');
    await clusters.client.put({ table: 'a', key: 'new', value: 'not there yet' });
    await expect(untilEqual(clusters, SHORT_MS)).rejects.toThrow(/site-1, table a: \d+ rows/);
    await clusters.client.createTable('c');
    await expect(untilEqual(clusters, SHORT_MS)).rejects.toThrow(
      /site-1 has tables a,b, not a,b,c/,
    );
    for (const gateway of site.gateways) gateway.signal('SIGCONT');
    await untilEqual(clusters, EQUAL_MS);
    await clusters.client.deleteTable('c');
    await untilEqual(clusters, EQUAL_MS);
  });
});

describe('a follower cluster under writers is equal to its leader cluster again', () => {
  it('after the way to it was cut', async () => {
    await sleep(SETTLE_MS);
    expect(await cutLink(site, random)).toBe(true);
    await expectEqual();
  });

  it('after the way to it was slow, and silent', async () => {
    expect(await slowLink(site, random)).toBe(true);
    await expectEqual();
  });

  it('after a puller was stopped with batches in doubt, its tables moved, and it went on', async () => {
    await waitUntil('it is pulled', async () => (await site.pullerOf('a')) !== undefined);
    const before = await site.pullerOf('a');
    await sleep(SETTLE_MS);
    const paused = pausePuller(site, 'a', random);
    const isMoved = async () => {
      const now = await site.pullerOf('a');
      return now !== undefined && now !== before;
    };
    await waitUntil('somebody else pulls it', isMoved);
    expect(await paused).toBe(true);
    await expectEqual();
  });

  it('after a node of the leader cluster was killed', async () => {
    expect(await killNode(clusters.leader, random)).toBe(true);
    await expectEqual();
  });

  it('after a node of the follower cluster was killed', async () => {
    expect(await killNode(site.cluster, random)).toBe(true);
    await expectEqual();
  });

  it('after one of two gateways of the leader cluster was killed', async () => {
    expect(await killLeaderGateway(clusters, random)).toBe(true);
    await expectEqual();
  });

  it('after a table was restored in the leader cluster', async () => {
    await sleep(SETTLE_MS);
    expect(await restoreTable(clusters, 'a', random)).toBe(true);
    await expectEqual();
  });

  it('after a table was restored, and whoever fetched it was killed in the middle', async () => {
    expect(await killInSnapshot(clusters, site, 'b', random)).toBe(true);
    await expectEqual();
  });

  it('after a table was deleted and made anew under its name', async () => {
    expect(await recreateTable(clusters, 'a')).toBe(true);
    await expectEqual();
  });

  it('after it was told that there are no tables, of which it lost none (defect B10)', async () => {
    expect(await sayNoTables(site, random)).toBe(true);
    await expectEqual();
  });
});

describe('a leader cluster that comes back from an older state', () => {
  it('is told as being behind, costs readers nothing, and is followed again once copies are deleted', async () => {
    await writers.stop();
    const older = await OlderState.copyOf(clusters.leader);
    const { rows } = await untilEqual(clusters, EQUAL_MS);
    expect(rows).toBeGreaterThan(0);
    const later = { table: 'b', key: 'later', value: 'lost' };
    const put = () => clusters.client.put(later).then(() => true);
    // More than the entries that elections put into the log.
    for (let nth = 0; nth < LOST_WRITES; nth++) await waitUntil('a write is done', put);
    await untilEqual(clusters, EQUAL_MS);
    const [address = ''] = site.cluster.endpoints;
    const before = await tableHash(address, 'b');
    await older.putBack();
    const isBehind = async () => {
      const { tables } = await site.client.replication.status('b');
      return tables[0]?.state === 'leader-behind';
    };
    await waitUntil('it is told', isBehind);
    expect((await tableHash(address, 'b')).hash).toBe(before.hash);
    expect(await deleteCopies(site)).toBe(TABLES.length);
    await untilEqual(clusters, EQUAL_MS);
    expect((await site.client.range({ table: 'b', key: 'later' })).kvs).toEqual([]);
    await clusters.client.put({ ...later, value: 'new' });
    await untilEqual(clusters, EQUAL_MS);
  });
});
