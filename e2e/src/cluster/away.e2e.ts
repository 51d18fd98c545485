/**
 * A node that was away while the logs were cut behind it: catalog and tables come as snapshots.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FlotillaClient } from '@flotilla/client';
import { metric } from '../bench/figures.js';
import { Cluster, waitUntil } from '../harness/cluster.js';

const FLAGS = [
  '--raft.snapshot-entries=20',
  '--replication.log-retention-bytes=0',
  '--raft.compaction-overhead=5',
  '--raft.log-bytes-max=1',
];
/** What a log still holds of 18 groups once it was cut. */
const LEFT_ENTRIES_MAX = 20;

async function contents(client: FlotillaClient, table: string): Promise<string[]> {
  const rows: string[] = [];
  const everything = { table, key: '\0', rangeEnd: '\0' };
  for await (const { kvs } of client.iterateRange(everything)) {
    for (const { key, value, modRevision } of kvs) {
      rows.push(`${key.toString()}=${value.length}@${modRevision}`);
    }
  }
  return rows;
}

describe('a node that was away for long', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start(3, { flags: FLAGS });
    const client = cluster.client(1);
    for (const table of ['large', 'small', 'goes']) await client.createTable(table);
    await client.put({ table: 'small', key: 'before', value: '1' });
    await client.put({ table: 'goes', key: 'before', value: '1' });
  });
  afterAll(() => cluster.dispose());

  it('gets tables and catalog as snapshots, while the others serve; afterwards all are the same', async () => {
    await cluster.node(3).kill();
    const client = cluster.client(1);
    const value = Buffer.alloc(100_000, 'x');
    for (let at = 0; at < 120; at++) {
      await client.put({ table: 'large', key: `k${at}`, value });
      await client.put({ table: 'small', key: `k${at % 10}`, value: String(at) });
    }
    await client.deleteTable('goes');
    for (let at = 0; at < 15; at++) await client.createTable(`new${at}`);
    await client.put({ table: 'new7', key: 'k', value: 'v' });
    for (const id of [1, 2]) {
      await waitUntil(`the log of node ${id} is cut`, async () => {
        const entries = await metric(cluster.node(id).restAddress, 'flotilla_log_entries');
        return (entries.get('') ?? Infinity) <= LEFT_ENTRIES_MAX;
      });
    }
    await cluster.node(3).start();
    await client.put({ table: 'large', key: 'while', value: 'it comes' });
    const away = cluster.client(3);
    for (const table of ['large', 'small', 'new7']) {
      await waitUntil(`${table} is the same on node 3`, async () => {
        const [here, there] = await Promise.all([contents(client, table), contents(away, table)]);
        return here.length > 0 && JSON.stringify(here) === JSON.stringify(there);
      });
    }
    const snapshots = await metric(cluster.node(3).restAddress, 'flotilla_snapshots_total');
    expect(snapshots.get('{kind="installed"}')).toBeGreaterThanOrEqual(3);
    await expect(away.range({ table: 'goes', key: 'before' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(Object.keys((await away.status(false)).tables).sort()).toEqual(
      ['large', 'small', ...Array.from({ length: 15 }, (_, at) => `new${at}`)].sort(),
    );
  });

  it('has it all after another kill -9, and can lead', async () => {
    await cluster.node(3).kill();
    await cluster.node(3).start();
    const away = cluster.client(3);
    const rows = await contents(cluster.client(1), 'large');
    await waitUntil('it is the same', async () => {
      return JSON.stringify(await contents(away, 'large')) === JSON.stringify(rows);
    });
    // The cluster spreads its leaders over the nodes that are back, which may come in between.
    await waitUntil('node 3 leads', async () => {
      return (await cluster.transferLeader(1, 'large', 3)) === 3;
    });
    await away.put({ table: 'large', key: 'led by 3', value: '1' });
    const { kvs } = await cluster
      .client(2)
      .range({ table: 'large', key: 'led by 3', linearizable: true });
    expect(kvs).toHaveLength(1);
  });

  it('a deleted table leaves nothing: its rows at once, its space as the engine compacts', async () => {
    const client = cluster.client(2);
    await client.deleteTable('large');
    const dataBytes = async (id: number) => {
      const bytes = await metric(cluster.node(id).restAddress, 'flotilla_engine_bytes');
      return bytes.get('{kind="data"}') ?? Infinity;
    };
    for (const id of cluster.ids) {
      // Each start writes out what is in memory, and two files are merged.
      for (let round = 0; round < 4 && (round === 0 || (await dataBytes(id)) > 3e6); round++) {
        await client.put({ table: 'small', key: `round ${round}`, value: '1' });
        await cluster.node(id).kill();
        await cluster.node(id).start();
      }
      await waitUntil(`node ${id} has freed it`, async () => (await dataBytes(id)) < 3e6);
      const tables = await metric(cluster.node(id).restAddress, 'flotilla_tables');
      expect(tables.get('{kind="here"}')).toBe(16);
    }
  });
});
