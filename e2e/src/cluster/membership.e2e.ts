import { freePort } from '@flotilla/grpc/testing';
/**
 * Nodes come and go while clients write: added, replaced, wiped, removed, refused.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster, waitUntil } from '../harness/cluster.js';
import { NodeProcess } from '../harness/node-process.js';
import { Workload } from '../harness/workload.js';

const TABLE = 'members';

async function stateOf(cluster: Cluster, through: number, id: number): Promise<string> {
  const nodes = await cluster.listNodes(through);
  return nodes.find((node) => Number(node.id) === id)?.state ?? 'unknown';
}

async function holders(cluster: Cluster, through: number): Promise<number[]> {
  const [placement] = await cluster.placements(through);
  if (!placement || placement.movingFrom.length > 0) return [];
  return placement.replicas.map(Number);
}

describe('members of a cluster', () => {
  let cluster: Cluster;
  let load: Workload;
  beforeAll(async () => {
    cluster = await Cluster.start(3);
    await cluster.client().createTable(TABLE);
    const clients = [1, 2].map((id) => cluster.client(id));
    load = new Workload(TABLE, clients, 6);
    load.start();
  });
  afterAll(async () => {
    await load.stop();
    await cluster.dispose();
  });

  async function expectAllThere(ids: readonly number[]): Promise<void> {
    expect(load.failures).toEqual([]);
    // What is still being written may be ahead of what is compared with: only losses count.
    for (const id of ids) {
      const before = new Map([...load.keys].map(([key, { acknowledged }]) => [key, acknowledged]));
      const found = new Map<string, number>();
      const everything = { table: TABLE, key: '\0', rangeEnd: '\0', linearizable: true };
      for await (const { kvs } of cluster.client(id).iterateRange(everything)) {
        for (const { key, value } of kvs) found.set(key.toString(), Number(value.toString()));
      }
      const lost = [...before].filter(([key, value]) => (found.get(key) ?? 0) < value);
      expect(lost, `as node ${id} sees it`).toEqual([]);
    }
  }

  it('a node is replaced under load: the new one takes over, the old one is told to go', async () => {
    await load.more(300);
    const added = await cluster.addNode(1, { replaces: 3 });
    expect(added).toBe(4);
    await waitUntil('node 3 is removed', async () => (await stateOf(cluster, 1, 3)) === 'removed');
    const exit = await cluster.node(3).ended(20_000);
    expect(exit?.code).toBe(1);
    expect(cluster.node(3).output).toContain('removed from');
    await waitUntil('node 4 knows who holds the table', async () => {
      return (await holders(cluster, 4)).join() === '1,2,4';
    });
    await load.more(300);
    await expectAllThere([1, 2, 4]);
  });

  it('a removed node that comes back is refused by name', async () => {
    const exit = await cluster.node(3).startAndFail();
    expect(exit.code).not.toBe(0);
    expect(cluster.node(3).output).toContain('was removed from');
  });

  it('a wiped disk does not pass for the node it was; replaced by a new one, nothing is lost', async () => {
    await cluster.node(2).kill();
    cluster.wipe(2);
    const exit = await cluster.node(2).startAndFail();
    expect(exit.code).not.toBe(0);
    expect(cluster.node(2).output).toContain('another data folder');
    await load.more(50);
    const added = await cluster.addNode(1, { replaces: 2 });
    await waitUntil('node 2 is removed', async () => (await stateOf(cluster, 1, 2)) === 'removed');
    expect(await holders(cluster, 1)).toEqual([1, 4, added]);
    await expectAllThere([1, 4, added]);
  });

  it('the leader of everything can be removed', async () => {
    const added = await cluster.addNode(4);
    await waitUntil('it is active', async () => (await stateOf(cluster, 4, added)) === 'active');
    await cluster.removeNode(4, 1);
    await waitUntil('node 1 is removed', async () => (await stateOf(cluster, 4, 1)) === 'removed');
    expect((await cluster.node(1).ended(20_000))?.code).toBe(1);
    const ids = [4, 5, added];
    expect(await holders(cluster, 4)).toEqual(ids);
    await load.stop();
    const client = cluster.client(added);
    await client.put({ table: TABLE, key: 'after', value: '1' });
    const { kvs } = await cluster
      .client(5)
      .range({ table: TABLE, key: 'after', linearizable: true });
    expect(kvs[0]?.value.toString()).toBe('1');
  });

  it('a node of another cluster is refused by name, and so is one that was never announced', async () => {
    const own = `127.0.0.1:${await freePort()}`;
    const members = `4=${cluster.node(4).raftAddress},9=${own}`;
    const flags = ['--raft.node-id=9', '--raft.join=true', `--raft.initial-members=${members}`];
    for (const [more, reason] of [
      [['--memberlist.cluster-name=other'], 'belongs to cluster \\"other\\"'],
      [[], 'is not a member of cluster'],
    ] as const) {
      const stranger = await NodeProcess.prepare({ raftAddress: own, flags: [...flags, ...more] });
      stranger.launch();
      await waitUntil(`it is told: ${reason}`, () => stranger.output.includes(reason));
      await stranger.dispose();
    }
  });

  it('a request to change a node that is not there is refused by the field', async () => {
    await expect(cluster.removeNode(4, 99)).rejects.toThrow('id 99 is no member');
    await expect(cluster.removeNode(4, 1)).rejects.toThrow('id 1 was removed already');
    await expect(cluster.transferLeader(4, TABLE, 1)).rejects.toThrow(
      'to: node 1 holds no replica',
    );
    await expect(cluster.transferLeader(4, 'none', 4)).rejects.toThrow('table not found');
  });

  it('leadership goes where it is told to', async () => {
    for (const to of [5, 4]) {
      expect(await cluster.transferLeader(5, TABLE, to)).toBe(to);
      expect(await cluster.leaderOf(TABLE)).toBe(to);
    }
  });
});
