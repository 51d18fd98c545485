/** Calls to the own cluster: what is tried again at another node, and what never is. */
import { status } from '@flotilla/grpc';
import { applyV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { A, B, FakeNodes, notConnected, unavailable } from '../../test/support/fake-nodes.js';
import { statusError } from '../../test/support/fake-clusters.js';
import { OwnClusterClient } from './own-cluster.js';

const COPY = { table: 'orders', id: 7, source: { tableId: 0, epoch: 2 } };
const BATCH = { copy: COPY, token: 5, commands: [Buffer.from('abc')] };
const SIGNAL = new AbortController().signal;

/** The number may be one that only a newer node knows. */
function applied(number = 0, leaderIndex = 9n): Uint8Array {
  const outcome = number as applyV1.ApplyReplicatedResponse_Outcome;
  return applyV1.ApplyReplicatedResponse.encode({ outcome, leaderIndex }).finish();
}

function clientOf(nodes: FakeNodes): OwnClusterClient {
  return new OwnClusterClient(nodes.pool, nodes.clock);
}

describe('a batch', () => {
  it('is sent with its epoch, its token and the id of its copy', async () => {
    const nodes = new FakeNodes([A]).on(A, () => [applied()]);
    expect(await clientOf(nodes).apply(BATCH, SIGNAL)).toEqual({
      outcome: 'applied',
      leaderIndex: 9,
    });
    const [call] = nodes.calls;
    expect(call?.path).toBe('/flotilla.replication.v1.ReplicaApply/Apply');
    expect(applyV1.ApplyReplicatedRequest.decode(call?.request ?? Buffer.alloc(0))).toEqual({
      table: 'orders',
      tableId: 7n,
      epoch: 2n,
      token: 5n,
      commands: BATCH.commands,
    });
  });

  it('is sent to no other node when it may have been executed', async () => {
    for (const error of [unavailable('lost'), statusError('DEADLINE_EXCEEDED')]) {
      const nodes = new FakeNodes([A, B]).on(A, () => [error]).on(B, () => [error]);
      await expect(clientOf(nodes).apply(BATCH, SIGNAL)).rejects.toBe(error);
      expect(nodes.calls).toHaveLength(1);
    }
  });

  it('is sent to another node when it certainly was not executed', async () => {
    for (const error of [notConnected(), unavailable('busy', { 'flotilla-not-executed': '1' })]) {
      const nodes = new FakeNodes([A, B]).on(A, () => [error]).on(B, () => [applied()]);
      expect((await clientOf(nodes).apply(BATCH, SIGNAL)).leaderIndex).toBe(9);
    }
  });

  it('is told as what it is: refused by epoch or token; an outcome that is not known is an error', async () => {
    const outcomes = [applied(1), applied(2), applied(3)];
    const nodes = new FakeNodes([A]).on(A, () => outcomes.splice(0, 1));
    const client = clientOf(nodes);
    expect((await client.apply(BATCH, SIGNAL)).outcome).toBe('other-epoch');
    expect((await client.apply(BATCH, SIGNAL)).outcome).toBe('old-token');
    await expect(client.apply(BATCH, SIGNAL)).rejects.toMatchObject({ code: status.INTERNAL });
  });
});

describe('other calls', () => {
  it('are made at another node when one does not answer', async () => {
    const list = applyV1.ListReplicasResponse.encode({
      replicas: [
        {
          table: 'orders',
          tableId: 7n,
          source: { tableId: 0n, epoch: 2n },
          lease: { holder: 'a', token: 3n, remainingMs: 10n },
        },
        {
          ...{ table: 'new', tableId: 8n, source: { tableId: 0n, epoch: 1n }, lease: undefined },
          renewalWanted: true,
        },
      ],
      localTables: ['mine'],
      version: 12n,
    }).finish();
    const nodes = new FakeNodes([A, B], 'secret')
      .on(A, () => [statusError('DEADLINE_EXCEEDED')])
      .on(B, () => [list]);
    expect(await clientOf(nodes).list()).toEqual({
      copies: [
        { ...COPY, lease: { holder: 'a', token: 3, remainingMs: 10 } },
        {
          ...{ table: 'new', id: 8, source: { tableId: 0, epoch: 1 }, lease: undefined },
          renewalWanted: true,
        },
      ],
      localTables: ['mine'],
      version: 12,
    });
    expect(nodes.calls[0]?.options.metadata).toEqual({ authorization: 'Bearer secret' });
  });

  it('end with the error of a node that has refused them', async () => {
    const refusal = statusError('NOT_FOUND');
    const nodes = new FakeNodes([A, B]).on(A, () => [refusal]).on(B, () => [refusal]);
    const wish = { holder: 'a', token: 0, ttlMs: 3_000 };
    await expect(clientOf(nodes).holdSession(wish)).rejects.toBe(refusal);
    expect(nodes.calls).toHaveLength(1);
  });

  it('tell a session that is gone from one that is held, with all that live', async () => {
    const sessions = [{ holder: 'a', remainingMs: 3_000n }];
    const answers = [true, false].map((held) =>
      applyV1.HoldSessionResponse.encode({ held, token: 4n, sessions, version: 5n }).finish(),
    );
    const nodes = new FakeNodes([A]).on(A, () => answers.splice(0, 1));
    const wish = { holder: 'a', token: 4, ttlMs: 3_000 };
    expect(await clientOf(nodes).holdSession(wish)).toEqual({
      token: 4,
      gateways: [{ holder: 'a', remainingMs: 3_000 }],
      version: 5,
    });
    expect(await clientOf(nodes).holdSession(wish)).toBeUndefined();
  });

  it('tell which leases were taken, table by table; an answer with another number is an error', async () => {
    const take = (held: boolean, tokens: bigint[]) =>
      applyV1.TakeLeasesResponse.encode({ held, tokens }).finish();
    const answers = [take(true, [0n, 9n]), take(false, []), take(true, [1n])];
    const nodes = new FakeNodes([A]).on(A, () => answers.splice(0, 1));
    const session = { holder: 'a', token: 4 };
    const copies = [COPY, { ...COPY, id: 8 }];
    expect(await clientOf(nodes).takeLeases(session, copies)).toEqual([0, 9]);
    expect(await clientOf(nodes).takeLeases(session, copies)).toBeUndefined();
    await expect(clientOf(nodes).takeLeases(session, copies)).rejects.toMatchObject({
      code: status.INTERNAL,
    });
  });
});
