/**
 * Tables that are filled out of sight, on three nodes in one process: each table has one replica, so most
 * calls are passed on.
 */
import { status } from '@flotilla/grpc';
import { feedV1, regattaV1, shadowV1 } from '@flotilla/proto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  command,
  FollowerClusterUnderTest,
  type FollowerNodeUnderTest,
} from '../../test/support/follower-cluster.js';
import { deleteCommand } from '../catalog/catalog-rows.js';
import { SHADOW_TABLES_SERVICE } from './shadow-api.js';
import { IDLE_MS_MAX, LAST_WRITES_MAX, NOTE_BYTES_MAX } from './shadow-limits.js';
import { ShadowRows } from './shadow-rows.js';

const v1 = shadowV1;
const BEGUN = v1.BeginShadowResponse_Outcome;
const FILLED = v1.FillShadowResponse_Outcome;
const COMPLETED = v1.CompleteShadowResponse_Outcome;
const FAR_MS = 60_000;

let cluster: FollowerClusterUnderTest;

/** One cluster for all tests of a role; each begins without tables. */
function useCluster(role: 'leader' | 'follower'): void {
  beforeAll(async () => {
    cluster = await FollowerClusterUnderTest.start(3, role === 'leader' ? 3 : 0);
  });
  afterEach(async () => {
    const { admin, catalog } = cluster.first.core.cluster;
    await admin.delete('t');
    for (const { stored } of catalog.state.shadows.values()) {
      await catalog.propose(deleteCommand(stored), catalog.deadline(FAR_MS));
    }
    expect(cluster.fatal).toEqual([]);
  });
  afterAll(() => cluster.stop());
}

const path = (method: string): string => `/${SHADOW_TABLES_SERVICE}/${method}`;

type Node = FollowerNodeUnderTest;

const begin = (node: Node, fields: Partial<shadowV1.BeginShadowRequest> = {}) => {
  const request = v1.BeginShadowRequest.fromPartial({
    table: 't',
    purpose: 'restore/a',
    ...fields,
  });
  return node.call(path('Begin'), [v1.BeginShadowRequest, v1.BeginShadowResponse], request);
};

const row = (
  key: string,
  value: string,
  created = 5,
  changed = created,
  version = 1,
): feedV1.Row => ({
  ...{ key: Buffer.from(key), value: Buffer.from(value), createRevision: BigInt(created) },
  ...{ modRevision: BigInt(changed), version: BigInt(version) },
});

const fill = (
  node: Node,
  shadow: shadowV1.Shadow | undefined,
  batch: number,
  rows: feedV1.Row[] = [],
  note = '',
) => {
  const { tableId = 0n, token = 0n } = shadow ?? {};
  const request = { tableId, token, batch: BigInt(batch), rows, note: Buffer.from(note) };
  return node.call(path('Fill'), [v1.FillShadowRequest, v1.FillShadowResponse], request);
};

const complete = (
  node: Node,
  shadow: shadowV1.Shadow | undefined,
  fields: Partial<shadowV1.CompleteShadowRequest> = {},
) => {
  const { tableId = 0n, token = 0n } = shadow ?? {};
  const named = { table: 't', tableId, token, ...fields };
  const request = v1.CompleteShadowRequest.fromPartial(named);
  return node.call(
    path('Complete'),
    [v1.CompleteShadowRequest, v1.CompleteShadowResponse],
    request,
  );
};

const list = async (node: Node): Promise<shadowV1.Shadow[]> => {
  const codecs = [v1.ListShadowsRequest, v1.ListShadowsResponse] as const;
  return (await node.call(path('List'), codecs, {})).shadows;
};

async function pairs(node: Node): Promise<string[]> {
  const fields = { table: Buffer.from('t'), key: Buffer.from('\0'), rangeEnd: Buffer.from('\0') };
  const request = regattaV1.RangeRequest.fromPartial({ ...fields, linearizable: true });
  const codecs = [regattaV1.RangeRequest, regattaV1.RangeResponse] as const;
  const { kvs } = await node.call('/regatta.v1.KV/Range', codecs, request);
  return kvs.map(({ key, value, createRevision, modRevision }) => {
    const pair = `${key.toString()}=${value.toString()}`;
    return `${pair}@${createRevision}/${modRevision}`;
  });
}

const second = (): Node => cluster.nodes[1] ?? cluster.first;

describe('a shadow in a leader cluster', () => {
  useCluster('leader');

  it('is seen by nobody until it is complete, and then by everybody at once, as it was filled', async () => {
    const node = cluster.first;
    await node.core.cluster.admin.create('t');
    await node.put('old');
    const old = node.core.cluster.catalog.state.tables.get('t');
    const { shadow, outcome } = await begin(node);
    expect(outcome).toBe(BEGUN.BEGUN);
    await fill(second(), shadow, 1, [row('a', '1', 3, 9, 4), row('b', '2')], 'half');
    expect(await pairs(node)).toHaveLength(1);
    expect([...node.core.cluster.catalog.state.tables.keys()]).toEqual(['t']);
    expect(await list(second())).toMatchObject([{ table: 't', purpose: 'restore/a', token: 1n }]);

    const done = await complete(second(), shadow, { replacesTableId: BigInt(old?.id ?? 0) });
    expect(done).toMatchObject({
      outcome: COMPLETED.COMPLETED,
      epoch: BigInt(old?.epoch ?? 0) + 1n,
    });
    expect(Number(done.revision)).toBeGreaterThan(LAST_WRITES_MAX);
    for (const each of cluster.nodes) expect(await pairs(each)).toEqual(['a=1@3/9', 'b=2@5/5']);
    const { header } = await second().put('c');
    expect(header?.revision).toBe(done.revision + 1n);
    expect(header?.shardId).toBe(shadow?.tableId);
    expect(await list(node)).toEqual([]);
    // The answer was lost: the same call says the same.
    const again = await complete(node, shadow, { replacesTableId: BigInt(old?.id ?? 0) });
    expect(again).toMatchObject({ outcome: COMPLETED.COMPLETED, epoch: done.epoch });
  });

  it('is taken up again by who says the same: how far it is, and nothing under the older token', async () => {
    const node = cluster.first;
    const { shadow: first } = await begin(node);
    expect(await fill(node, first, 1, [row('a', '1')], 'one')).toMatchObject({ batches: 1n });
    const resumed = await begin(second());
    expect(resumed).toMatchObject({ outcome: BEGUN.RESUMED, batches: 1n });
    expect(resumed.note.toString()).toBe('one');
    expect(resumed.shadow).toMatchObject({ tableId: first?.tableId, token: 2n });
    expect(await fill(node, first, 2)).toMatchObject({ outcome: FILLED.OLD_TOKEN });
    expect(await complete(node, first)).toMatchObject({ outcome: COMPLETED.OLD_TOKEN });
    const { shadow } = resumed;
    expect(await fill(node, shadow, 3)).toMatchObject({
      outcome: FILLED.OUT_OF_ORDER,
      batches: 1n,
    });
    expect(await fill(second(), shadow, 1, [row('x', 'x')])).toMatchObject({
      ...{ outcome: FILLED.WRITTEN, batches: 1n },
    });
    await fill(node, shadow, 2, [row('b', '2')]);
    expect(await complete(node, shadow, { revision: 70n })).toMatchObject({ revision: 70n });
    expect(await pairs(second())).toEqual(['a=1@5/5', 'b=2@5/5']);
    await expect(fill(node, shadow, 3)).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  it('for another purpose is told of, or given up', async () => {
    const node = cluster.first;
    const { shadow } = await begin(node);
    const other = await begin(node, { purpose: 'restore/b' });
    expect(other).toMatchObject({ outcome: BEGUN.OCCUPIED, shadow: { purpose: 'restore/a' } });
    const taken = await begin(node, { purpose: 'restore/b', replace: true });
    expect(taken).toMatchObject({ outcome: BEGUN.BEGUN, shadow: { purpose: 'restore/b' } });
    expect(await complete(node, shadow)).toMatchObject({ outcome: COMPLETED.MISSING });
  });

  it('does not replace a table that was not said', async () => {
    const node = cluster.first;
    const { shadow } = await begin(node);
    await fill(node, shadow, 1, [row('a', '1')]);
    await node.core.cluster.admin.create('t');
    expect(await complete(node, shadow)).toMatchObject({ outcome: COMPLETED.OTHER_TABLE });
    const { id } = node.core.cluster.catalog.state.tables.get('t') ?? { id: 0 };
    const done = await complete(node, shadow, { replacesTableId: BigInt(id) });
    expect(done).toMatchObject({ outcome: COMPLETED.COMPLETED });
    expect(await pairs(node)).toEqual(['a=1@5/5']);
  });

  it('that is dropped leaves the table of the name as it was', async () => {
    const node = cluster.first;
    await node.core.cluster.admin.create('t');
    await node.put('k');
    const { shadow } = await begin(node);
    const codecs = [v1.DropShadowRequest, v1.DropShadowResponse] as const;
    const drop = (token: bigint) =>
      node.call(path('Drop'), codecs, { table: 't', tableId: shadow?.tableId ?? 0n, token });
    await begin(node);
    expect(await drop(1n)).toEqual({ dropped: false });
    expect(await drop(2n)).toEqual({ dropped: true });
    expect(await drop(2n)).toEqual({ dropped: false });
    expect(await pairs(second())).toHaveLength(1);
    const { tables, catalog } = node.core.cluster;
    expect(tables.get(Number(shadow?.tableId))).toBeUndefined();
    expect(catalog.state.tablesById.size).toBe(1);
  });

  it('epochs of a name grow by one, and no table under it has an earlier one', async () => {
    const node = cluster.first;
    const { admin, catalog } = node.core.cluster;
    await admin.create('t');
    const epochs = [catalog.state.tables.get('t')?.epoch ?? 0];
    const { shadow } = await begin(node);
    for (let round = 0; round < 2; round++) {
      await admin.delete('t');
      await admin.create('t');
      epochs.push(catalog.state.tables.get('t')?.epoch ?? 0);
    }
    // Its id is lower than the epoch that it takes.
    const replaced = catalog.state.tables.get('t');
    const done = await complete(node, shadow, { replacesTableId: BigInt(replaced?.id ?? 0) });
    expect(Number(done.epoch)).toBe((replaced?.epoch ?? 0) + 1);
    epochs.push(Number(done.epoch));
    await admin.delete('t');
    await admin.create('t');
    epochs.push(catalog.state.tables.get('t')?.epoch ?? 0);
    expect(epochs).toEqual([...new Set(epochs)].sort((a, b) => a - b));
  });

  it('is refused with the name of the field that is wrong', async () => {
    const node = cluster.first;
    const source = { tableId: 1n, epoch: 1n };
    await expect(begin(node, { source })).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
    });
    await expect(begin(node, { source })).rejects.toThrow('source must not be set');
    await expect(begin(node, { purpose: '' })).rejects.toThrow('purpose must be set');
    const { shadow } = await begin(node);
    await expect(fill(node, shadow, 0)).rejects.toThrow('batch must be 1');
    await expect(fill(node, shadow, 1, [row('a', '', 0)])).rejects.toThrow(
      'rows[0].create_revision',
    );
    await expect(fill(node, shadow, 1, [row('a', '', 5, 4)])).rejects.toThrow(
      'rows[0].mod_revision',
    );
    const future = shadow && { ...shadow, token: 2n };
    await expect(fill(second(), future, 1)).rejects.toThrow('token must be one that Begin');
    await expect(complete(second(), future)).rejects.toThrow('token must be one that Begin');
    const note = 'x'.repeat(NOTE_BYTES_MAX + 1);
    await expect(fill(node, shadow, 1, [], note)).rejects.toThrow('note must be at most');
    expect(await fill(node, shadow, 1, [], note.slice(1))).toMatchObject({ batches: 1n });
  });

  it('that nobody fills any more is dropped, and one that is filled is not', async () => {
    const node = cluster.first;
    const { shadow } = await begin(node);
    const { catalog, view } = node.core.cluster;
    const at = (ms: number) => new ShadowRows(catalog, view, { wallMs: () => Date.now() + ms }, 1);
    expect(at(IDLE_MS_MAX - FAR_MS).leftovers()).toEqual([]);
    const [leftover] = at(IDLE_MS_MAX + FAR_MS).leftovers();
    expect(leftover?.id).toBe(Number(shadow?.tableId));
    if (leftover) await at(IDLE_MS_MAX).noteFilled(leftover, catalog.deadline(FAR_MS));
    expect(at(IDLE_MS_MAX + FAR_MS).leftovers()).toEqual([]);
  });

  it('a copy that is adopted takes writes above where it stood', async () => {
    const node = cluster.first;
    const { admin, catalog, steps } = node.core.cluster;
    await admin.create('t');
    const { id } = catalog.state.tables.get('t') ?? { id: 0 };
    expect(await steps.adoptTable(id, 5_000, catalog.deadline(FAR_MS))).toBe(5_000);
    expect((await second().put('k')).header?.revision).toBe(5_001n);
  });
});

describe('a shadow in a follower cluster', () => {
  useCluster('follower');

  it('takes over from a copy, and pullers go on behind its revision under its epoch alone', async () => {
    const node = cluster.first;
    const source = { tableId: 500n, epoch: 9n };
    const { tableId: old } = await node.createCopy('t');
    const { shadow, outcome } = await begin(node, { purpose: 'recovery', source });
    expect(outcome).toBe(BEGUN.BEGUN);
    await fill(second(), shadow, 1, [row('a', '1', 3, 40)]);
    const fields = { replacesTableId: old, revision: 39n };
    await expect(complete(node, shadow, fields)).rejects.toThrow('revision must not be below 40');
    const done = await complete(second(), shadow, { ...fields, revision: 44n });
    expect(done).toMatchObject({ outcome: COMPLETED.COMPLETED, revision: 44n });
    const id = shadow?.tableId ?? 0n;
    expect(await node.apply(id, [], { token: 1 })).toMatchObject({ leaderIndex: 44n });
    expect(await node.apply(id, [], { token: 1, epoch: 8 })).toMatchObject({ leaderIndex: 0n });
    await node.apply(id, [command(44, 'x', 'late'), command(45, 'b', '2')]);
    expect(await pairs(second())).toEqual(['a=1@3/40', 'b=2@45/45']);
  });

  it('has a source, and no table of the cluster’s own is replaced', async () => {
    const node = cluster.first;
    await expect(begin(node)).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
    await node.core.cluster.admin.create('t');
    const source = { tableId: 500n, epoch: 9n };
    expect(await begin(node, { source })).toMatchObject({ outcome: BEGUN.LOCAL });
  });
});
