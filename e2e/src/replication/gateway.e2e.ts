/**
 * Three nodes, a gateway, and a follower that polls as servers of Regatta do: it ends with what the
 * cluster has, whatever is killed meanwhile and however far it fell behind.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { FlotillaClient } from '@flotilla/client';
import { mvccV1 } from '@flotilla/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster, waitUntil } from '../harness/cluster.js';
import { GatewayProcess } from '../harness/gateway-process.js';
import { CALL_MS } from '../harness/node-process.js';
import { PollingFollower } from '../harness/polling-follower.js';
import { retried } from '../harness/retried.js';

const KEYS = 40;
/** Few entries stay in the log, so that a follower falls behind it soon. */
const LOG_FLAGS = [
  '--raft.snapshot-entries=600',
  '--raft.compaction-overhead=50',
  '--replication.log-retention-bytes=0',
];
const LOG_CUT_MS = 60_000;

describe('a gateway in the leader cluster', () => {
  let cluster: Cluster;
  let gateway: GatewayProcess;
  const followers: PollingFollower[] = [];
  beforeAll(async () => {
    cluster = await Cluster.start(3, { flags: LOG_FLAGS });
    gateway = await GatewayProcess.start(cluster.endpoints);
  });
  afterAll(async () => {
    for (const follower of followers) follower.close();
    await gateway.kill();
    await cluster.dispose();
  });

  function followerOf(table: string): PollingFollower {
    const follower = new PollingFollower(gateway.address, table);
    followers.push(follower);
    return follower;
  }

  /** Puts, deletes of keys and ranges, and transactions of both branches, one after another. */
  async function write(client: FlotillaClient, table: string, from: number, to: number) {
    for (let nth = from; nth < to; nth++) {
      const key = keyOf(nth % KEYS);
      // One without an answer is made once more: what counts is that both sides have the same in the end.
      await retried<unknown>(() => {
        if (nth % 13 === 0) {
          return client.deleteRange({ table, key, rangeEnd: keyOf((nth % KEYS) + 5) });
        }
        if (nth % 7 === 0) return client.deleteRange({ table, key });
        if (nth % 5 === 0) {
          return client.txn({ table, ...moveTo(key, keyOf((nth * 3) % KEYS), nth) });
        }
        return client.put({ table, key, value: `value ${nth}` });
      });
    }
  }

  async function contentOf(table: string): Promise<[string, string][]> {
    const { kvs } = await cluster
      .client()
      .range({ table, key: '\0', rangeEnd: '\0', linearizable: true });
    return kvs.map(({ key, value }) => [key.toString('latin1'), value.toString('latin1')]);
  }

  async function expectSame(follower: PollingFollower, table: string): Promise<void> {
    await waitUntil('a last poll goes through', async () => (await follower.poll()) === 'tailing');
    const pairs = [...follower.pairs].sort(([a], [b]) => (a < b ? -1 : 1));
    expect(pairs).toEqual(await contentOf(table));
    expect(pairs.length).toBeGreaterThan(0);
  }

  it('tells of a table as soon as it is created, and not of one that was deleted', async () => {
    const follower = followerOf('none');
    await waitUntil(
      'the gateway knows the tables',
      async () => (await follower.tables()).length === 0,
    );
    await cluster.client().createTable('first');
    await waitUntil('it is told', async () => (await follower.tables()).join() === 'first');
    await cluster.client().deleteTable('first');
    await waitUntil('it is gone', async () => (await follower.tables()).length === 0);
  });

  it('follows from index 1 while nodes and the gateway are killed: the same content at the end', async () => {
    const table = 'orders';
    await cluster.client().createTable(table);
    const follower = followerOf(table);
    let writing = true;
    const failures: unknown[] = [];
    const polls = (async () => {
      for (; writing; await sleep(20)) {
        await follower.follow().catch((error: unknown) => failures.push(error));
      }
    })();
    const client = cluster.client();
    await write(client, table, 1, 100);
    const leader = await cluster.leaderOf(table);
    await cluster.node(leader).kill();
    await write(client, table, 100, 200);
    await cluster.node(leader).start();
    await gateway.kill();
    await gateway.start();
    await write(client, table, 200, 300);
    writing = false;
    await polls;
    await expectSame(follower, table);
    expect(follower.snapshots).toBe(0);
    expect(follower.commands).toBeGreaterThanOrEqual(299);
    // The gateway was away for a moment; nothing else may have shown.
    for (const failure of failures) expect(failure).toMatchObject({ code: 14 });
  });

  it('passes writes on to the nodes, with their revisions and their refusals', async () => {
    const table = 'forwarded';
    await cluster.client().createTable(table);
    const through = new FlotillaClient({ endpoints: [gateway.address], timeoutMs: CALL_MS });
    try {
      const { header } = await through.put({ table, key: 'k', value: 'v' });
      const follower = followerOf(table);
      expect(await follower.poll()).toBe('tailing');
      expect(follower.pairs).toEqual(new Map([['k', 'v']]));
      // Not that of the last entry: a leader that was moved meanwhile leaves one of its own.
      expect(follower.putAt.get('k')).toBe(header.revision);
      await expect(through.put({ table: 'none', key: 'k', value: 'v' })).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: 'table not found',
      });
    } finally {
      through.close();
    }
  });

  it('sends a follower that is behind the log to a snapshot, after which it goes on', async () => {
    const table = 'history';
    await cluster.client().createTable(table);
    const late = followerOf(table);
    const client = cluster.client();
    await write(client, table, 1, 20);
    expect(await late.poll()).toBe('tailing');
    const before = late.index;
    await write(client, table, 20, 1_000);
    const probe = followerOf(table);
    await waitUntil(
      'the log was cut',
      async () => (await probe.poll(before + 1).catch(() => 'gap')) === 'use-snapshot',
      LOG_CUT_MS,
    );
    expect(await late.poll()).toBe('use-snapshot');
    expect(late.index).toBe(before);
    await late.recover();
    expect(late.index).toBeGreaterThan(before);
    await write(client, table, 1_000, 1_050);
    const { commands } = late;
    await expectSame(late, table);
    expect(late.commands - commands).toBeLessThanOrEqual(51);
    expect(late.snapshots).toBe(1);
    expect(await late.poll(late.index + 1_000)).toBe('leader-behind');
  });

  it('stops when it is told to, and clean', async () => {
    await gateway.stop();
  });
});

function keyOf(nth: number): string {
  return `key ${String(nth).padStart(4, '0')}`;
}

/** Where the key exists it is given up for the other one, else it is made. */
function moveTo(
  from: string,
  to: string,
  nth: number,
): { compare: mvccV1.Compare[]; success: mvccV1.RequestOp[]; failure: mvccV1.RequestOp[] } {
  const put = (key: string, value: string) =>
    mvccV1.RequestOp.fromPartial({
      request: {
        $case: 'requestPut',
        value: { key: Buffer.from(key), value: Buffer.from(value) },
      },
    });
  const remove = mvccV1.RequestOp.fromPartial({
    request: { $case: 'requestDeleteRange', value: { key: Buffer.from(from) } },
  });
  return {
    compare: [mvccV1.Compare.fromPartial({ key: Buffer.from(from) })],
    success: [remove, put(to, `moved ${nth}`)],
    failure: [put(from, `made ${nth}`)],
  };
}
