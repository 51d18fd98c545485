/**
 * A node dies while tables move to it, and is removed before it comes back.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster, waitUntil } from '../harness/cluster.js';

const TABLES = 24;
const name = (at: number) => `t${at}`;

describe('a node that tables move to', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start(3);
    for (let at = 0; at < TABLES; at++) {
      await cluster.client().createTable(name(at));
      await cluster.client().put({ table: name(at), key: 'k', value: `v${at}` });
    }
  });
  afterAll(() => cluster.dispose());

  const movingTo = async (id: number) =>
    (await cluster.placements(1)).filter(
      ({ movingFrom, replicas }) => movingFrom.length > 0 && replicas.map(Number).includes(id),
    ).length;

  it('dies and is removed: the tables go back, and nothing is lost', async () => {
    const added = await cluster.addNode(1);
    for (;;) {
      await waitUntil('a table moves to it', async () => (await movingTo(added)) > 0);
      await cluster.node(added).kill();
      // Nobody takes its tables away for that: it may come back.
      await sleep(5_000);
      if ((await movingTo(added)) > 0) break;
      // Those that were on their way could be ended without it: the next ones then.
      await cluster.node(added).start();
    }
    await cluster.removeNode(1, added);
    await waitUntil('it is removed', async () => {
      const nodes = await cluster.listNodes(1);
      return nodes.find(({ id }) => Number(id) === added)?.state === 'removed';
    });
    for (const { replicas, movingFrom } of await cluster.placements(1)) {
      expect(replicas.map(Number)).toEqual([1, 2, 3]);
      expect(movingFrom).toEqual([]);
    }
    for (let at = 0; at < TABLES; at++) {
      const query = { table: name(at), key: 'k', linearizable: true };
      const { kvs } = await cluster.client(1 + (at % 3)).range(query);
      expect(kvs[0]?.value.toString()).toBe(`v${at}`);
    }
  });
});
