/** What a node tells of replication: lags, leases, and what gateways say of their pullers. */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { applyV1, statusV1 } from '@flotilla/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  command,
  FollowerClusterUnderTest,
  type FollowerNodeUnderTest,
} from '../../test/support/follower-cluster.js';
import { PullerBoard, PULLER_REPORT_MS } from '../follower/puller-board.js';
import { REPLICA_APPLY_SERVICE } from '../follower/replica-api.js';
import { REPLICATION_STATUS_SERVICE } from './replication-status.js';

const PULLER = {
  gateway: 'g-1',
  state: 'recovering',
  lastError: '',
  copyIndex: 3n,
  snapshotBytes: 100n,
  snapshotBytesTotal: 0n,
  receivedBytes: 500n,
};

let cluster: FollowerClusterUnderTest;
let tableId: bigint;

beforeAll(async () => {
  cluster = await FollowerClusterUnderTest.start(2);
  ({ tableId } = await cluster.first.createCopy());
  await cluster.first.core.cluster.admin.create('own');
  await cluster.first.apply(
    tableId,
    [1, 2, 3].map((at) => command(at, `k${at}`, 'v')),
  );
}, 60_000);
afterAll(async () => {
  expect(cluster.fatal).toEqual([]);
  await cluster.stop();
});

async function get(node: FollowerNodeUnderTest, table = ''): Promise<statusV1.GetStatusResponse> {
  const codecs = [statusV1.GetStatusRequest, statusV1.GetStatusResponse] as const;
  return node.call(`/${REPLICATION_STATUS_SERVICE}/Get`, codecs, { table });
}

function report(node: FollowerNodeUnderTest, position: Partial<applyV1.ReplicaPosition>) {
  const codecs = [applyV1.ReportPositionsRequest, applyV1.ReportPositionsResponse] as const;
  const whole = applyV1.ReplicaPosition.fromPartial({ tableId, ...position });
  const message = applyV1.ReportPositionsRequest.fromPartial({ positions: [whole] });
  return node.call(`/${REPLICA_APPLY_SERVICE}/ReportPositions`, codecs, message);
}

describe('the status of replication', () => {
  it('is told by every node, also by one without the copy, once a gateway has reported', async () => {
    const before = await get(cluster.first, 't');
    expect(before.tables).toMatchObject([{ state: '', gateway: '', lastError: '' }]);
    await cluster.first.take('g-1', [tableId]);
    await report(cluster.first, { leaderIndex: 5n, leaderClockMs: 1_000n, puller: PULLER });
    for (const node of cluster.nodes) {
      await expect.poll(async () => (await get(node, 't')).tables[0]?.gateway).toBe('g-1');
      const { role, clusterId, generation, tables } = await get(node);
      expect({ role, generation }).toEqual({ role: 'follower', generation: 0n });
      expect(clusterId).not.toBe('');
      expect(tables.map(({ table, isCopy }) => [table, isCopy])).toEqual([
        ['own', false],
        ['t', true],
      ]);
      expect(tables[1]).toMatchObject({
        tableId,
        revision: 3n,
        leaderRevision: 5n,
        lagRevisions: 2n,
        gateway: 'g-1',
        state: 'recovering',
        snapshotBytes: 100n,
        receivedBytes: 500n,
      });
    }
  });

  it('of a puller alone says nothing of where the leader cluster stands', async () => {
    await report(cluster.first, {
      puller: { ...PULLER, state: 'failing', lastError: 'table-missing' },
    });
    const [copy] = (await get(cluster.first, 't')).tables;
    expect(copy).toMatchObject({
      state: 'failing',
      lastError: 'table-missing',
      leaderRevision: 5n,
    });
  });

  it('of a table that there is not is NotFound, and garbled reports are refused by name', async () => {
    const refused = async (call: Promise<unknown>) => {
      const error = await call.catch((thrown: unknown) => thrown);
      if (error instanceof GrpcStatusError) return [error.code, error.message];
      throw new Error(`not refused: ${String(error)}`);
    };
    expect(await refused(get(cluster.first, 'none'))).toEqual([
      status.NOT_FOUND,
      'table not found',
    ]);
    const bad = { state: 'State 1', gateway: '', lastError: 'x y' };
    for (const [field, value] of Object.entries(bad)) {
      const puller = { ...PULLER, [field]: value };
      const [code, message] = await refused(report(cluster.first, { puller }));
      expect(code).toBe(status.INVALID_ARGUMENT);
      expect(message).toContain(field === 'lastError' ? 'puller.last_error' : `puller.${field}`);
    }
  });
});

describe('what gateways told of their pullers', () => {
  it('is forgotten when it is not told again, and not kept of tables that are not listed', () => {
    const clock = { ms: 0, nowMs: () => clock.ms };
    const board = new PullerBoard(clock, (id) => id === 7);
    const told = { ...{ gateway: 'g', state: 'pulling', lastError: '', copyIndex: 1 } };
    const puller = { ...told, snapshotBytes: 0, snapshotBytesTotal: 0, receivedBytes: 0 };
    board.report(7, puller);
    board.report(8, puller);
    clock.ms = PULLER_REPORT_MS;
    expect(board.of(7)).toEqual(puller);
    expect(board.of(8)).toBeUndefined();
    clock.ms++;
    expect(board.of(7)).toBeUndefined();
    board.report(7, puller);
    board.forget(7);
    expect(board.of(7)).toBeUndefined();
  });
});
