/**
 * Copies that are wanted anew, on two nodes of a follower cluster: what is noted, what takes the note away, and
 * that nothing is deleted meanwhile.
 */
import { status } from '@flotilla/grpc';
import { applyV1, maintenanceV1, shadowV1 } from '@flotilla/proto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  command,
  EPOCH,
  FollowerClusterUnderTest,
  LEADER_TABLE,
  type FollowerNodeUnderTest,
} from '../../test/support/follower-cluster.js';
import { CLUSTER_KEY, deleteCommand, encodeCluster } from '../catalog/catalog-rows.js';
import { SHADOW_TABLES_SERVICE } from '../shadow/shadow-api.js';
import { REPLICA_APPLY_SERVICE } from './replica-api.js';
import { RESET } from './reset-api.js';

const START_MS = 60_000;
const SOURCE = { tableId: BigInt(LEADER_TABLE), epoch: BigInt(EPOCH) };
const v1 = shadowV1;
const BEGUN = v1.BeginShadowResponse_Outcome;
const RENEWED = applyV1.RenewReplicaResponse_Outcome;

type Node = FollowerNodeUnderTest;

let cluster: FollowerClusterUnderTest;
let node: Node;
let other: Node;
let tableId: bigint;

beforeAll(async () => {
  cluster = await FollowerClusterUnderTest.start(2);
  [node, other] = [cluster.first, cluster.nodes[1] ?? cluster.first];
}, START_MS);
beforeEach(async () => {
  ({ tableId } = await node.createCopy());
  await node.apply(tableId, [command(7, 'k', 'old')]);
});
afterEach(async () => {
  const { admin, catalog } = node.core.cluster;
  await admin.delete('t');
  for (const { stored } of catalog.state.shadows.values()) {
    await catalog.propose(deleteCommand(stored), catalog.deadline(START_MS));
  }
  expect(cluster.fatal).toEqual([]);
});
afterAll(() => cluster.stop());

const reset = (at: Node, table: string, resetAll = false) => {
  const codecs = [maintenanceV1.ResetRequest, maintenanceV1.ResetResponse] as const;
  return at.call(RESET, codecs, { table: Buffer.from(table), resetAll });
};

const renew = (table: string, source: applyV1.ReplicaSource | undefined) => {
  const codecs = [applyV1.RenewReplicaRequest, applyV1.RenewReplicaResponse] as const;
  return other.call(`/${REPLICA_APPLY_SERVICE}/RenewReplica`, codecs, { table, source });
};

/** Ids of copies that are wanted anew, as pullers are told by a node that has heard of all. */
async function wanted(): Promise<bigint[]> {
  const { catalog } = node.core.cluster;
  await catalog.barrier(catalog.deadline(START_MS));
  const codecs = [applyV1.ListReplicasRequest, applyV1.ListReplicasResponse] as const;
  const { replicas } = await node.call(`/${REPLICA_APPLY_SERVICE}/ListReplicas`, codecs, {});
  return replicas.filter((each) => each.renewalWanted).map((each) => each.tableId);
}

const shadows = (method: string): string => `/${SHADOW_TABLES_SERVICE}/${method}`;

const begin = (): Promise<shadowV1.BeginShadowResponse> => {
  const fields = { table: 't', purpose: 'recovery', source: SOURCE };
  const codecs = [v1.BeginShadowRequest, v1.BeginShadowResponse] as const;
  return node.call(shadows('Begin'), codecs, v1.BeginShadowRequest.fromPartial(fields));
};

const fill = ({ shadow }: shadowV1.BeginShadowResponse, value: string) => {
  const revisions = { createRevision: 7n, modRevision: 7n, version: 1n };
  const row = { key: Buffer.from('k'), value: Buffer.from(value), ...revisions };
  const { tableId: id = 0n, token = 0n } = shadow ?? {};
  const codecs = [v1.FillShadowRequest, v1.FillShadowResponse] as const;
  const request = { tableId: id, token, batch: 1n, rows: [row] };
  return node.call(shadows('Fill'), codecs, v1.FillShadowRequest.fromPartial(request));
};

const complete = async ({ shadow }: shadowV1.BeginShadowResponse): Promise<bigint> => {
  const { tableId: id = 0n, token = 0n } = shadow ?? {};
  const codecs = [v1.CompleteShadowRequest, v1.CompleteShadowResponse] as const;
  const request = { table: 't', tableId: id, token, replacesTableId: tableId, revision: 9n };
  const { outcome } = await node.call(shadows('Complete'), codecs, request);
  expect(outcome).toBe(v1.CompleteShadowResponse_Outcome.COMPLETED);
  return id;
};

describe('a copy that is reset', () => {
  it('is served as it is, and pulled on, until a new one has taken its name over', async () => {
    await reset(other, 't');
    await reset(node, 't');
    expect(await wanted()).toEqual([tableId]);
    expect(await other.get('k')).toBe('old');
    const pulled = await node.apply(tableId, [command(8, 'k', 'newer')]);
    expect(pulled).toMatchObject({ leaderIndex: 8n });
    const begun = await begin();
    expect(begun).toMatchObject({ outcome: BEGUN.BEGUN, shadow: { renews: true } });
    await fill(begun, 'new');
    expect(await other.get('k')).toBe('newer');
    await complete(begun);
    expect(await wanted()).toEqual([]);
    expect(await node.get('k')).toBe('new');
  });

  it('while it is filled anew for another reason is filled once more, without what that used', async () => {
    const before = await begin();
    expect(before.shadow?.renews).toBeUndefined();
    await fill(before, 'of the old copy');
    await reset(node, 't');
    const again = await begin();
    expect(again).toMatchObject({ outcome: BEGUN.BEGUN, batches: 0n, shadow: { renews: true } });
    expect(again.shadow?.tableId).not.toBe(before.shadow?.tableId);
    // Who goes on with it is told the same.
    const resumed = await begin();
    expect(resumed).toMatchObject({ outcome: BEGUN.RESUMED, shadow: { renews: true } });
  });

  it('stays wanted anew if what takes its name over may hold rows of it', async () => {
    const before = await begin();
    await fill(before, 'of the old copy');
    await reset(node, 't');
    tableId = await complete(before);
    expect(await wanted()).toEqual([tableId]);
    const again = await begin();
    await fill(again, 'new');
    await complete(again);
    expect(await wanted()).toEqual([]);
  });

  it('is one of all that are, if nobody says which', async () => {
    await reset(other, '', true);
    expect(await wanted()).toEqual([tableId]);
  });

  it('has the texts of the contract for what is wrong', async () => {
    await expect(reset(node, '')).rejects.toMatchObject({
      ...{ code: status.INVALID_ARGUMENT, message: 'table must be set' },
    });
    await expect(reset(node, 'none')).rejects.toMatchObject({
      ...{ code: status.UNKNOWN, message: 'table not found' },
    });
    expect(await wanted()).toEqual([]);
  });

  it('is that one alone: a copy of something else is left as it is', async () => {
    expect(await renew('t', { ...SOURCE, epoch: 99n })).toEqual({ outcome: RENEWED.OTHER });
    expect(await renew('none', SOURCE)).toEqual({ outcome: RENEWED.MISSING });
    await expect(renew('t', undefined)).rejects.toThrow('source must be set');
    await expect(renew('', SOURCE)).rejects.toThrow('table must be set');
    expect(await wanted()).toEqual([]);
    expect(await renew('t', SOURCE)).toEqual({ outcome: RENEWED.WANTED });
    expect(await wanted()).toEqual([tableId]);
  });
});

describe('a cluster that was promoted', () => {
  it('resets nothing: there is nothing to make it anew from', async () => {
    const { catalog } = node.core.cluster;
    const promoted = { generation: 2n, leaderClusterId: 'x', promoted: true };
    const { stored } = catalog.state.cluster;
    const deadlineMs = catalog.deadline(START_MS);
    await catalog.replace(CLUSTER_KEY, stored, encodeCluster(promoted), deadlineMs);
    await expect(reset(other, 't')).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
    await expect(reset(other, '', true)).rejects.toThrow('promoted');
    const { stored: now } = catalog.state.cluster;
    const back = encodeCluster({ ...promoted, promoted: false });
    await catalog.replace(CLUSTER_KEY, now, back, deadlineMs);
  });
});
