/**
 * Five nodes, tables of three replicas: every node has its share, and any node answers for any table.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster, waitUntil } from '../harness/cluster.js';
import { Workload } from '../harness/workload.js';
import { PlainClient } from '../harness/plain-client.js';

const TABLES = 20;
const NODES = 5;
const REPLICAS = 3;
const name = (at: number) => `t${at}`;

describe('five nodes', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start(NODES);
    for (let at = 0; at < TABLES; at++) {
      await cluster.client((at % NODES) + 1).createTable(name(at));
    }
  });
  afterAll(() => cluster.dispose());

  it('each holds and leads its share', async () => {
    const held = new Map<number, number>();
    const led = new Map<number, number>();
    await waitUntil('tables are led by those that should', async () => {
      held.clear();
      led.clear();
      for (const { replicas, preferredLeader } of await cluster.placements(1)) {
        expect(replicas).toHaveLength(REPLICAS);
        for (const id of replicas) held.set(Number(id), (held.get(Number(id)) ?? 0) + 1);
        const leader = Number(preferredLeader);
        led.set(leader, (led.get(leader) ?? 0) + 1);
      }
      for (const id of cluster.ids) {
        const { tables } = await cluster.client(id).status(false);
        const leads = Object.values(tables).filter(({ leader }) => leader === String(id)).length;
        if (leads !== led.get(id)) return false;
        if (Object.keys(tables).length !== held.get(id)) return false;
      }
      return true;
    });
    for (const id of cluster.ids) {
      expect(Math.abs((held.get(id) ?? 0) - (TABLES * REPLICAS) / NODES)).toBeLessThanOrEqual(1);
      expect(Math.abs((led.get(id) ?? 0) - TABLES / NODES)).toBeLessThanOrEqual(1);
    }
  });

  it('any node answers for any table, as a client that knows only that node', async () => {
    for (const id of cluster.ids) {
      const client = new PlainClient(cluster.node(id).apiAddress);
      const useTable = async (at: number): Promise<void> => {
        const table = Buffer.from(name(at));
        const key = Buffer.from(`from ${id}`);
        await client.call('KV', 'Put', { table, key, value: Buffer.from(`v${at}`) });
        const local = await client.call('KV', 'Range', { table, key });
        expect((local['kvs'] as { value: Buffer }[])[0]?.value.toString()).toBe(`v${at}`);
        const fresh = await client.call('KV', 'Range', { table, key, linearizable: true });
        expect(fresh['count']).toBe('1');
      };
      await Promise.all(Array.from({ length: TABLES }, (_, at) => useTable(at)));
      const table = Buffer.from(name(id));
      const put = { request_put: { key: Buffer.from('txn'), value: Buffer.from('1') } };
      const txn = await client.call('KV', 'Txn', { table, success: [put] });
      expect(txn['succeeded']).toBe(true);
      const range = { request_range: { key: Buffer.from('txn') } };
      const read = await client.call('KV', 'Txn', { table, success: [range] });
      expect(JSON.stringify(read)).toContain('response_range');
      const pages = await client.stream('KV', 'IterateRange', {
        table,
        key: Buffer.from([0]),
        range_end: Buffer.from([0]),
      });
      expect(pages.flatMap((page) => page['kvs'] as unknown[]).length).toBeGreaterThan(1);
      const removed = await client.call('KV', 'DeleteRange', {
        table,
        key: Buffer.from('txn'),
        count: true,
      });
      expect(removed['deleted']).toBe('1');
      const missing = { table: Buffer.from('no such'), key: Buffer.from('k') };
      expect(await client.refusal('KV', 'Range', missing)).toEqual({
        code: 5,
        details: 'table not found',
      });
      expect((await client.refusal('KV', 'Put', { table, key: Buffer.alloc(0) })).code).toBe(3);
      client.close();
    }
  });

  it('what is written through one node is read through it at once, and through all soon', async () => {
    for (let at = 0; at < 50; at++) {
      const id = (at % NODES) + 1;
      const table = name(at % TABLES);
      const value = `own ${at}`;
      await cluster.client(id).put({ table, key: 'own', value });
      const { kvs } = await cluster.client(id).range({ table, key: 'own' });
      expect(kvs[0]?.value.toString()).toBe(value);
    }
  });

  it('under load, a table can be used through every node once created, and no more once deleted', async () => {
    const ids = new Set<string>();
    const load = new Workload(
      'load',
      [1, 2, 3].map((id) => cluster.client(id)),
      6,
    );
    await cluster.client(1).createTable('load');
    load.start();
    for (let round = 0; round < 10; round++) {
      const created = await cluster.client((round % NODES) + 1).createTable('short');
      ids.add(created);
      await Promise.all(
        cluster.ids.map((id) =>
          cluster.client(id).put({ table: 'short', key: `k${id}`, value: String(round) }),
        ),
      );
      const { count } = await cluster
        .client(((round + 2) % NODES) + 1)
        .range({ table: 'short', key: '\0', rangeEnd: '\0', linearizable: true, countOnly: true });
      expect(count).toBe(NODES);
      await cluster.client(((round + 3) % NODES) + 1).deleteTable('short');
      for (const id of cluster.ids) {
        await expect(cluster.client(id).range({ table: 'short', key: 'k1' })).rejects.toMatchObject(
          {
            code: 'NOT_FOUND',
          },
        );
      }
    }
    expect(ids.size).toBe(10);
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(await load.verify(cluster.client(5))).toEqual([]);
    await cluster.client(4).deleteTable('load');
  });

  it('a drained node holds nothing soon, and gets its share again when that is undone', async () => {
    await cluster.drainNode(2, 5);
    const replicas = async (id: number) => {
      const nodes = await cluster.listNodes(1);
      const moving = (await cluster.placements(1)).some(({ movingFrom }) => movingFrom.length > 0);
      return moving ? -1 : Number(nodes.find((node) => Number(node.id) === id)?.replicas ?? -1);
    };
    await waitUntil('node 5 is empty', async () => (await replicas(5)) === 0);
    await waitUntil('node 5 knows it as well', async () => {
      const { tables } = await cluster.client(5).status(false);
      return Object.keys(tables).length === 0;
    });
    await cluster.client(5).put({ table: name(0), key: 'still', value: 'answers' });
    await cluster.drainNode(1, 5, true);
    // The cluster may have begun by itself: what moves already counts as held.
    const planned = (await cluster.rebalance(3, true)).filter(({ to }) => to.includes(5n));
    const begun = (await cluster.placements(3)).filter(({ replicas }) => replicas.includes(5n));
    expect(planned.length + begun.length).toBeGreaterThanOrEqual(11);
    await cluster.rebalance(3, false);
    await waitUntil('node 5 has its share', async () => (await replicas(5)) >= 11);
  });
});
