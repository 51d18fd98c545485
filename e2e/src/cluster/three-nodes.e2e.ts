/**
 * Three nodes under load: killed, restarted one by one, all at once. What was acknowledged stays.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster, waitUntil } from '../harness/cluster.js';
import { Workload } from '../harness/workload.js';

const TABLE = 'load';
const WRITERS = 12;

describe('three nodes', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start(3);
    await cluster.client().createTable(TABLE);
  });
  afterAll(() => cluster.dispose());

  function workload(): Workload {
    const clients = [...cluster.ids.map((id) => cluster.client(id)), cluster.client()];
    return new Workload(TABLE, clients, WRITERS);
  }

  async function expectAllThere(load: Workload): Promise<void> {
    expect(load.failures).toEqual([]);
    for (const id of cluster.ids) {
      expect(await load.verify(cluster.client(id)), `as node ${id} sees it`).toEqual([]);
    }
  }

  async function emptied(): Promise<Workload> {
    await cluster.client().deleteRange({ table: TABLE, key: '\0', rangeEnd: '\0' });
    return workload();
  }

  it('a leader that is killed loses no acknowledged write, and the others go on', async () => {
    const load = await emptied();
    load.start();
    await load.more(100);
    for (let round = 0; round < 3; round++) {
      const leader = await cluster.leaderOf(TABLE);
      await cluster.node(leader).kill();
      await load.more(60);
      await cluster.node(leader).start();
      await load.more(60);
    }
    await load.stop();
    await expectAllThere(load);
  });

  it('a rolling restart costs no request more than a retry, and no write', async () => {
    const load = await emptied();
    load.start();
    await load.more(100);
    for (const id of cluster.ids) {
      await cluster.node(id).stop();
      await load.more(50);
      await cluster.node(id).start();
      await load.more(100);
    }
    await load.stop();
    console.log(
      `rolling restart: ${load.acknowledged} writes, ${load.retried} retries, longest gap ` +
        `${load.longestGapMs.toFixed(0)} ms`,
    );
    await expectAllThere(load);
  });

  it('all killed at once come back with everything', async () => {
    const load = await emptied();
    load.start();
    await load.more(150);
    await Promise.all(cluster.ids.map((id) => cluster.node(id).kill()));
    await sleep(200);
    await Promise.all(cluster.ids.map((id) => cluster.node(id).start()));
    await load.more(100);
    await load.stop();
    await expectAllThere(load);
  });

  it('a node that was away has everything soon after it is back, in its own copy', async () => {
    const load = await emptied();
    const away = (await cluster.leaderOf(TABLE)) === 3 ? 2 : 3;
    await cluster.node(away).kill();
    load.start();
    await load.more(300);
    await load.stop();
    await cluster.node(away).start();
    const client = cluster.client(away);
    await waitUntil('its copy is complete', async () => {
      return (await load.verify(client, false)).length === 0;
    });
    await expectAllThere(load);
  });
});
