/**
 * Tables that are filled out of sight, on three nodes in one process: each table has one replica, so most
 * calls are passed on.
 */
import { status } from '@flotilla/grpc';
import { SimulatedEngine } from '@flotilla/mvcc/simulation';
import { feedV1, mvccV1, regattaV1, shadowV1 } from '@flotilla/proto';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  command,
  FollowerClusterUnderTest,
  type FollowerNodeUnderTest,
} from '../../test/support/follower-cluster.js';
import { deleteCommand } from '../catalog/catalog-rows.js';
import { KEY_BYTES_MAX } from '../kv/limits.js';
import { SHADOW_TABLES_SERVICE } from './shadow-api.js';
import {
  FILL_COMMANDS_MAX,
  IDLE_MS_MAX,
  LAST_WRITES_MAX,
  NOTE_BYTES_MAX,
} from './shadow-limits.js';
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
  commands: Buffer[] = [],
) => {
  const { tableId = 0n, token = 0n } = shadow ?? {};
  const request = {
    tableId,
    token,
    batch: BigInt(batch),
    rows,
    note: Buffer.from(note),
    commands,
  };
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

const value = (text: string) => ({ $case: 'value' as const, value: Buffer.from(text) });

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

  it('is filled no further while the engine of the node that leads it is behind', async () => {
    const { shadow } = await begin(cluster.first);
    const behind = vi.spyOn(SimulatedEngine.prototype, 'isBehind').mockReturnValue(true);
    try {
      let isDone = false;
      const filling = fill(second(), shadow, 1, [row('a', '1')]).finally(() => (isDone = true));
      await vi.waitFor(() => expect(behind.mock.calls.length).toBeGreaterThan(2), FAR_MS);
      expect(isDone).toBe(false);
      behind.mockReturnValue(false);
      expect(await filling).toMatchObject({ outcome: FILLED.WRITTEN, batches: 1n });
    } finally {
      behind.mockRestore();
    }
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

  it('takes a batch while the one before it is under way, and none that leaves one out', async () => {
    const node = cluster.first;
    const { shadow } = await begin(node, { table: 'piped' });
    const [first, second2, fourth] = await Promise.all([
      fill(node, shadow, 1, [row('a', '1')]),
      fill(node, shadow, 2, [row('b', '2')]),
      fill(node, shadow, 4, [row('d', '4')]),
    ]);
    expect([first, second2].map(({ outcome }) => outcome)).toEqual([
      FILLED.WRITTEN,
      FILLED.WRITTEN,
    ]);
    expect(fourth).toMatchObject({ outcome: FILLED.OUT_OF_ORDER });
    expect(await fill(node, shadow, 3)).toMatchObject({ outcome: FILLED.WRITTEN, batches: 3n });
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
    await expect(complete(node, shadow, { revisionCheck: 1n })).rejects.toThrow(
      'revision_check must be of a copy',
    );
    const future = shadow && { ...shadow, token: 2n };
    await expect(fill(second(), future, 1)).rejects.toThrow('token must be one that Begin');
    await expect(complete(second(), future)).rejects.toThrow('token must be one that Begin');
    const note = 'x'.repeat(NOTE_BYTES_MAX + 1);
    await expect(fill(node, shadow, 1, [], note)).rejects.toThrow('note must be at most');
    expect(await fill(node, shadow, 1, [], note.slice(1))).toMatchObject({ batches: 1n });
  });

  it('goes on from its rows with commands, each at its revision', async () => {
    const node = cluster.first;
    const { shadow } = await begin(node);
    await fill(node, shadow, 1, [row('a', '1', 3, 9, 4), row('b', '2')]);
    const onA = mvccV1.Command.fromPartial({
      type: mvccV1.Command_CommandType.TXN,
      leaderIndex: 12n,
      txn: {
        compare: [{ key: Buffer.from('a'), targetUnion: value('new') }],
        success: [{ request: { $case: 'requestPut', value: { key: Buffer.from('c') } } }],
      },
    });
    const commands = [command(10, 'a', 'new'), Buffer.from(mvccV1.Command.encode(onA).finish())];
    const written = { outcome: FILLED.WRITTEN, batches: 2n };
    expect(await fill(second(), shadow, 2, [], 'log', commands)).toMatchObject(written);
    // The answer was lost: the same call says the same.
    expect(await fill(node, shadow, 2, [], 'log', commands)).toMatchObject(written);
    const low = fill(node, shadow, 3, [], '', [command(12, 'a', 'late')]);
    await expect(low).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
    const text = 'commands[0].leader_index must be above 12, got 12';
    await expect(fill(second(), shadow, 3, [], '', [command(12, 'a', 'late')])).rejects.toThrow(
      text,
    );
    const late = fill(second(), shadow, 3, [row('z', 'late')]);
    await expect(late).rejects.toThrow('rows must not come after commands');
    await fill(second(), shadow, 3, [], '', [command(15, 'b', '3')]);
    expect(await complete(node, shadow, { revision: 15n })).toMatchObject({ revision: 15n });
    for (const each of cluster.nodes) {
      expect(await pairs(each)).toEqual(['a=new@3/10', 'b=3@5/15', 'c=@12/12']);
    }
    expect((await second().put('d')).header?.revision).toBe(16n);
  });

  it('refuses commands that cannot be applied, with the name of the field', async () => {
    const node = cluster.first;
    const { shadow } = await begin(node);
    const wrong = (commands: Buffer[], rows: feedV1.Row[] = []) =>
      expect(fill(node, shadow, 1, rows, '', commands)).rejects;
    const code = status.INVALID_ARGUMENT;
    await wrong([command(7, 'a', '1'), Buffer.from([0xff])]).toMatchObject({ code });
    await wrong([command(7, 'a', '1'), Buffer.from([0xff])]).toThrow('commands[1] is not a');
    await wrong([command(7, 'a', '1'), command(7, 'a', '2')]).toMatchObject({ code });
    await wrong([command(7, 'a', '1'), command(7, 'a', '2')]).toThrow('commands[1].leader_index');
    await wrong([command(7, 'a', '1')], [row('b', '1', 5, 7)]).toThrow('commands[0].leader_index');
    const { SEQUENCE, PUT } = mvccV1.Command_CommandType;
    const long = mvccV1.Command.fromPartial({
      ...{ type: SEQUENCE, leaderIndex: 8n },
      sequence: [{ type: PUT, kv: { key: Buffer.alloc(KEY_BYTES_MAX + 1) } }],
    });
    await wrong([Buffer.from(mvccV1.Command.encode(long).finish())]).toThrow('a key is too long');
    const many = Array.from({ length: FILL_COMMANDS_MAX + 1 }, (_, at) => command(at + 1, 'k', ''));
    await wrong(many).toThrow(`commands must be at most ${FILL_COMMANDS_MAX}, got`);
    const filledAtLast = await fill(node, shadow, 1, [], '', many.slice(1));
    expect(filledAtLast).toMatchObject({ outcome: FILLED.WRITTEN });
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
    const here = { ...fields, revision: 44n, revisionCheck: 2n ** 64n - 44n };
    const done = await complete(second(), shadow, here);
    expect(done).toMatchObject({ outcome: COMPLETED.COMPLETED, revision: 44n });
    const id = shadow?.tableId ?? 0n;
    expect(await node.apply(id, [], { token: 1 })).toMatchObject({
      leaderIndex: 44n,
      leaderCheck: 2n ** 64n - 44n,
    });
    expect(await node.apply(id, [], { token: 1, epoch: 8 })).toMatchObject({ leaderIndex: 0n });
    await node.apply(id, [command(44, 'x', 'late'), command(45, 'b', '2')]);
    expect(await pairs(second())).toEqual(['a=1@3/40', 'b=2@45/45']);
  });

  it('tells the check of the entry it stands at as it was told with it, from any node', async () => {
    const { tableId } = await cluster.first.createCopy('t');
    const apply = (commands: Buffer[], lastCheck?: bigint) =>
      second().apply(tableId, commands, lastCheck === undefined ? {} : { lastCheck });
    const first = await apply([command(5, 'a', '1')], 55n);
    expect(first).toMatchObject({ leaderIndex: 5n, leaderCheck: 55n });
    expect(await cluster.first.apply(tableId, [])).toMatchObject({ leaderCheck: 55n });
    const unknown = await apply([command(6, 'a', '2')]);
    expect(unknown).toMatchObject({ leaderIndex: 6n, leaderCheck: undefined });
    await expect(apply([], 66n)).rejects.toThrow('last_check must not be set without commands');
  });

  it('has a source, and no table of the cluster’s own is replaced', async () => {
    const node = cluster.first;
    await expect(begin(node)).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
    await node.core.cluster.admin.create('t');
    const source = { tableId: 500n, epoch: 9n };
    expect(await begin(node, { source })).toMatchObject({ outcome: BEGUN.LOCAL });
  });
});
