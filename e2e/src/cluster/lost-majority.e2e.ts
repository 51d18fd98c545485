/**
 * Two of three nodes are lost for good: the third becomes a cluster of its own, explicitly.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster, waitUntil } from '../harness/cluster.js';
import { cleanEnvironment, ROOT } from '../harness/node-process.js';

const TABLE = 'survivor';

describe('a lost majority', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start(3);
    await cluster.client().createTable(TABLE);
    for (let at = 0; at < 100; at++) {
      await cluster.client(1).put({ table: TABLE, key: `k${at}`, value: String(at) });
    }
  });
  afterAll(() => cluster.dispose());

  function recover(...flags: string[]): { readonly status: number | null; readonly text: string } {
    const program = join(ROOT, 'apps/kv-node/dist/main.js');
    const { dataDir, raftAddress } = cluster.node(1);
    const all = [
      'recover',
      `--data-dir=${dataDir}`,
      '--raft.node-id=1',
      `--raft.address=${raftAddress}`,
      ...flags,
    ];
    const { status, stdout } = spawnSync(process.execPath, [program, ...all], {
      encoding: 'utf8',
      env: cleanEnvironment(),
    });
    return { status, text: stdout };
  }

  it('is not recovered by itself: nothing is acknowledged without one', async () => {
    await cluster.node(2).kill();
    await cluster.node(3).kill();
    const client = cluster.client(1, 3_000);
    await expect(client.put({ table: TABLE, key: 'alone', value: '1' })).rejects.toMatchObject({
      code: expect.stringMatching(/UNAVAILABLE|DEADLINE_EXCEEDED/) as string,
    });
    const { kvs } = await client.range({ table: TABLE, key: 'k42' });
    expect(kvs[0]?.value.toString()).toBe('42');
  });

  it('the command refuses while the node runs, and says what it would give up', async () => {
    expect(recover().text).toContain('is in use by process');
    await cluster.node(1).kill();
    const { status, text } = recover();
    expect(status).toBe(0);
    expect(text).toContain('would be the only node');
    expect(text).toContain('refused from now on: 2, 3');
    expect(text).toContain(`table ${TABLE}: kept up to entry`);
    expect(text).toContain('Nothing was changed');
  });

  it('afterwards the node has all it had, takes writes, and grows again', async () => {
    const { status, text } = recover('--recover.accept-data-loss=true');
    expect(status).toBe(0);
    expect(text).toContain('is the only node');
    await cluster.node(1).start();
    const client = cluster.client(1);
    const everything = { table: TABLE, key: '\0', rangeEnd: '\0', linearizable: true };
    const { count } = await client.range({ ...everything, countOnly: true });
    expect(count).toBeGreaterThanOrEqual(100);
    const before = await client.range({ table: TABLE, key: 'k7', linearizable: true });
    expect(before.kvs[0]?.value.toString()).toBe('7');
    await client.put({ table: TABLE, key: 'after', value: 'yes' });
    for (let count = 0; count < 2; count++) await cluster.addNode(1);
    await waitUntil('the table has three replicas again', async () => {
      const [placement] = await cluster.placements(1);
      return placement?.replicas.length === 3 && placement.movingFrom.length === 0;
    });
    const { kvs } = await cluster.client(4).range({ table: TABLE, key: 'after' });
    expect(kvs[0]?.value.toString()).toBe('yes');
  });

  it('nodes of before do not get in again', async () => {
    const { output } = cluster.node(2);
    expect(output).not.toContain('two clusters');
    cluster.node(2).launch();
    // It cannot know which of the two is the right one: it says what it sees, and waits for its own.
    await waitUntil('it is refused by name', () => {
      return /two clusters are called|was removed from/.test(cluster.node(2).output);
    });
    const nodes = await cluster.listNodes(1);
    expect(nodes.find(({ id }) => Number(id) === 2)?.alive).toBe(false);
  });
});
