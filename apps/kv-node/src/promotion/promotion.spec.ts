/** A follower cluster that becomes a leader cluster: what is told before, what is so afterwards. */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { applyV1, regattaV1 } from '@flotilla/proto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  command,
  FollowerClusterUnderTest,
  type FollowerNodeUnderTest,
} from '../../test/support/follower-cluster.js';
import { REPLICA_APPLY_SERVICE } from '../follower/replica-api.js';
import { wasNotExecuted } from '../peers/not-executed.js';
import { passedContext } from '../routing/passed-context.js';

const TIMEOUT_MS = 60_000;

let cluster: FollowerClusterUnderTest;
let tableId: bigint;

beforeEach(async () => {
  cluster = await FollowerClusterUnderTest.start(2);
  ({ tableId } = await cluster.first.createCopy());
  await cluster.first.apply(tableId, [
    command(500, 'k', 'of the leader cluster'),
    command(501, 'l', 'too'),
  ]);
}, TIMEOUT_MS);
afterEach(async () => {
  expect(cluster.fatal).toEqual([]);
  await cluster.stop();
});

async function refusal(call: Promise<unknown>): Promise<GrpcStatusError> {
  const error = await call.catch((thrown: unknown) => thrown);
  if (error instanceof GrpcStatusError) return error;
  throw new Error(`not refused: ${String(error)}`);
}

const promotionOf = ({ core }: FollowerNodeUnderTest) => core.cluster.promotion;
const second = (): FollowerNodeUnderTest => cluster.nodes[1] ?? cluster.first;

/** Where the leader cluster was when last heard. */
async function hear(revision: number): Promise<void> {
  const position = { tableId, leaderIndex: BigInt(revision), leaderClockMs: 1_000n };
  const codecs = [applyV1.ReportPositionsRequest, applyV1.ReportPositionsResponse] as const;
  const path = `/${REPLICA_APPLY_SERVICE}/ReportPositions`;
  const request = applyV1.ReportPositionsRequest.fromPartial({ positions: [position] });
  await cluster.first.call(path, codecs, request);
}

async function takenOver(): Promise<void> {
  const isDone = () => cluster.nodes.every((node) => promotionOf(node).left === 0);
  await expect.poll(isDone, { timeout: TIMEOUT_MS }).toBe(true);
}

describe('a promotion', () => {
  it('is told before: each table, how far it is, and how far the leader cluster was', async () => {
    await hear(510);
    for (const node of cluster.nodes) {
      await expect.poll(() => node.follower.lags.leaderRevision(Number(tableId))).toBe(510);
      expect(await promotionOf(node).report()).toMatchObject({
        generation: 2,
        followedClusterId: '',
        tables: [{ table: 't', revision: 501, leaderRevision: 510, problem: '' }],
      });
    }
    expect(promotionOf(cluster.first).isPromoted).toBe(false);
    expect(cluster.first.core.cluster.replication.role).toBe('follower');
  });

  it(
    'makes every node take writes itself, above all revisions that are known of the leader cluster',
    async () => {
      await hear(510);
      await promotionOf(second()).promote(false);
      await takenOver();
      const revisions: number[] = [];
      for (const node of [...cluster.nodes, ...cluster.nodes]) {
        const { header } = await node.put('k');
        revisions.push(Number(header?.revision));
        expect(await node.get('k')).toBe('v');
      }
      expect(revisions[0]).toBeGreaterThan(510);
      expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
      expect(await cluster.first.get('l')).toBe('too');
      expect(cluster.sent).toEqual([]);
      for (const { core } of cluster.nodes) {
        const { role, generation } = core.cluster.replication;
        expect({ role, generation }).toEqual({ role: 'leader', generation: 2 });
        expect(core.cluster.catalog.state.tables.get('t')?.source).toBeUndefined();
      }
      expect(await cluster.first.core.cluster.admin.create('new')).toMatchObject({
        kind: 'created',
      });
    },
    TIMEOUT_MS,
  );

  it('shuts pullers out: at the door, and in the log for what was under way', async () => {
    const { core } = cluster.first;
    const lease = { holder: 'g', token: 0n, ttlMs: 60_000n };
    await promotionOf(cluster.first).promote(false);
    const late = [
      cluster.first.apply(tableId, [command(502, 'k', 'late')], { token: 9 }),
      cluster.first.createCopy('another'),
      second().follower.leases.hold(lease),
      second().follower.leases.take({ holder: 'g', session: 1n, tableIds: [tableId] }),
      second().follower.apply.delete({ table: 't', source: { tableId: 500n, epoch: 9n } }),
    ];
    for (const error of await Promise.all(late.map(refusal))) {
      expect(error).toMatchObject({ code: status.FAILED_PRECONDITION });
      expect(error.message).toMatch(/^promoted/);
    }
    await takenOver();
    expect(second().follower.apply.list()).toMatchObject({
      replicas: [],
      localTables: ['t'],
      generation: 2n,
      promoted: true,
    });
    const leading = cluster.nodes
      .map((node) => node.core.cluster.tables.get(Number(tableId)))
      .find((table) => table?.group.isLeader);
    const { fence, leaderIndex } = leading?.machine.state ?? {};
    expect({ token: fence?.token, leaderIndex }).toEqual({
      token: Number.MAX_SAFE_INTEGER,
      leaderIndex: 0,
    });
    expect(core.cluster.catalog.state.leases.size).toBe(0);
  });

  it('made again changes nothing', async () => {
    const first = await promotionOf(cluster.first).promote(false);
    await takenOver();
    const { header } = await cluster.first.put('k');
    expect(await promotionOf(second()).promote(false)).toEqual({ ...first, tables: [] });
    const again = await cluster.first.put('k');
    expect(Number(again.header?.revision)).toBe(Number(header?.revision) + 1);
  });

  it('asks to be told twice where a copy is being filled', async () => {
    await cluster.first.take('g/filling', [tableId]);
    const error = await refusal(promotionOf(cluster.first).promote(false));
    expect(error.code).toBe(status.FAILED_PRECONDITION);
    expect(error.message).toContain('a part of their tables alone: t');
    expect(promotionOf(cluster.first).isPromoted).toBe(false);
    const { tables } = await promotionOf(cluster.first).promote(true);
    expect(tables).toMatchObject([{ table: 't', isIncomplete: true }]);
    expect(promotionOf(cluster.first).isPromoted).toBe(true);
  });

  it('takes the generation after the highest one that was followed, which never gets lower', async () => {
    const raise = (node: FollowerNodeUnderTest, generation: number, leaderClusterId: string) =>
      node.follower.apply.raise({ generation: BigInt(generation), leaderClusterId });
    expect(await raise(cluster.first, 4, 'a')).toEqual({ generation: 4n, leaderClusterId: 'a' });
    expect(await raise(second(), 3, 'b')).toEqual({ generation: 4n, leaderClusterId: 'a' });
    expect(await raise(second(), 4, 'b')).toEqual({ generation: 4n, leaderClusterId: 'a' });
    expect(second().follower.apply.list()).toMatchObject({ generation: 4n, leaderClusterId: 'a' });
    for (const [generation, id] of [
      [0, 'a'],
      [5, ''],
    ] as const) {
      const error = await refusal(raise(cluster.first, generation, id));
      expect(error.code).toBe(status.INVALID_ARGUMENT);
    }
    const report = await promotionOf(second()).promote(false);
    expect(report).toMatchObject({ generation: 5, followedClusterId: 'a' });
    expect((await refusal(raise(cluster.first, 9, 'c'))).message).toMatch(/^promoted/);
  });

  it('lets no write into a copy before that copy is taken over, whoever sends it', async () => {
    const holder = cluster.nodes.find(({ core }) => core.cluster.tables.size > 0);
    if (!holder) throw new Error('nobody holds the copy');
    const { kv } = holder.core.cluster;
    const fields = { table: Buffer.from('t'), key: Buffer.from('k'), value: Buffer.from('v') };
    const request = regattaV1.PutRequest.fromPartial(fields);
    const bytes = Buffer.from(regattaV1.PutRequest.encode(request).finish());
    const call = passedContext('/regatta.v1.KV/Put', Date.now() + 500);
    const error = await refusal(kv.put(bytes, call, 0, ({ answer }) => answer));
    expect(error.code).toBe(status.UNAVAILABLE);
    expect(wasNotExecuted(error)).toBe(true);
    expect(await cluster.first.get('k')).toBe('of the leader cluster');
  });
});
