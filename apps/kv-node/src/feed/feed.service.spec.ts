/**
 * What gateways are told by one node: logs, whole tables, and which tables there are.
 */
import { status } from '@flotilla/grpc';
import { FEED_REASON, FEED_REASONS, feedV1, hot } from '@flotilla/proto';
import { describe, expect, it, vi } from 'vitest';
import { FeedNode, type OpenStream } from '../../test/support/feed-node.js';
import { adopt, fill } from '../../test/support/fill-commands.js';
import { type RunningTable } from '../tables/table-registry.js';
import { checkAt } from './entry-checks.js';

const FILLED = { key: 'z', value: '1', createRevision: 30, modRevision: 40, version: 4 };

/** Time enough for a busy machine; it comes within moments. */
const WAIT = { timeout: 60_000 };

const chunksOf = ({ messages }: OpenStream) => messages.map((each) => hot.decodeLogChunk(each));

function indexesOf(stream: OpenStream): number[] {
  return chunksOf(stream).flatMap(({ entries }) => entries.map(({ index }) => index));
}

function rangeOf(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe('the log of a table', () => {
  it('is told from any index on, without gaps, up to what is applied; then the stream ends', async () => {
    const node = await FeedNode.open();
    const table = await node.create('t');
    for (let nth = 0; nth < 20; nth++) await node.put(table, `k${nth}`);
    const { appliedIndex } = table.group;
    const stream = node.readLog('t', { from: 5n, linearizable: true });
    await stream.ended;
    expect(indexesOf(stream)).toEqual(rangeOf(5, appliedIndex));
    expect(chunksOf(stream)[0]).toMatchObject({
      position: { tableId: table.id, epoch: table.id, firstIndex: 1, appliedIndex },
    });
    const [last] = chunksOf(stream).at(-1)?.entries.slice(-1) ?? [];
    const command = hot.encodePutCommand({
      table: table.nameBytes,
      key: Buffer.from('k19'),
      value: Buffer.from('k19'),
      prevKv: false,
    });
    expect(last?.command).toEqual(command);
  });

  it('has entries without a command where elections and changes of members are', async () => {
    const node = await FeedNode.open();
    await node.create('t');
    const stream = node.readLog('t');
    await stream.ended;
    const [, chunk] = chunksOf(stream);
    expect(chunk?.entries.map(({ command }) => command.length)).toContain(0);
  });

  it('comes in messages of the wanted size, one entry at least', async () => {
    const node = await FeedNode.open();
    const table = await node.create('t');
    for (let nth = 0; nth < 10; nth++) await node.put(table, `k${nth}`, Buffer.alloc(1000));
    const stream = node.readLog('t', { chunkBytesMax: 2500 });
    await stream.ended;
    const sizes = chunksOf(stream).map(({ entries }) => entries.length);
    expect(Math.max(...sizes.slice(2))).toBe(2);
    const single = node.readLog('t', { chunkBytesMax: 1 });
    await single.ended;
    expect(new Set(chunksOf(single).map(({ entries }) => entries.length))).toEqual(new Set([0, 1]));
  });

  it('that is followed goes on as entries are applied, and ends when nobody listens', async () => {
    const node = await FeedNode.open();
    const table = await node.create('t');
    const stream = node.readLog('t', { follow: true });
    await settled();
    for (let nth = 0; nth < 5; nth++) {
      const index = await node.put(table, `k${nth}`);
      await vi.waitFor(() => expect(indexesOf(stream).at(-1)).toBe(index), WAIT);
    }
    expect(indexesOf(stream)).toEqual(rangeOf(1, table.group.appliedIndex));
    expect(table.applied.waiters).toBe(1);
    stream.cancel();
    await stream.ended;
    expect(table.applied.waiters).toBe(0);
  });

  it('costs nothing while its reader is behind: nothing is read ahead', async () => {
    const node = await FeedNode.open();
    const table = await node.create('t');
    const stream = node.readLog('t', { follow: true });
    await settled();
    const release = stream.hold();
    await node.put(table, 'first');
    await vi.waitFor(() => expect(indexesOf(stream).at(-1)).toBe(table.group.appliedIndex), WAIT);
    const sent = stream.messages.length;
    for (let nth = 0; nth < 50; nth++) await node.put(table, `k${nth}`);
    await settled();
    expect(stream.messages.length).toBe(sent);
    release();
    await vi.waitFor(() => expect(indexesOf(stream).at(-1)).toBe(table.group.appliedIndex), WAIT);
    expect(indexesOf(stream)).toEqual(rangeOf(1, table.group.appliedIndex));
    stream.cancel();
    await stream.ended;
  });

  it('that was cut in front of the reader says where it begins now', async () => {
    const node = await FeedNode.open();
    const table = await node.create('t');
    for (let nth = 0; nth < 10; nth++) await node.put(table, `k${nth}`);
    await node.node.runtime.host.compact(new Map([[table.id, 8]]));
    const stream = node.readLog('t', { from: 8n });
    await stream.ended;
    expect(chunksOf(stream).at(-1)).toMatchObject({ compacted: true, firstIndex: 9, entries: [] });
    const later = node.readLog('t', { from: 9n });
    await later.ended;
    expect(indexesOf(later)).toEqual(rangeOf(9, table.group.appliedIndex));
  });

  it('from an index that is not there yet is answered by its position alone', async () => {
    const node = await FeedNode.open();
    const table = await node.create('t');
    const { appliedIndex } = table.group;
    const next = node.readLog('t', { from: BigInt(appliedIndex + 1) });
    await next.ended;
    expect(indexesOf(next)).toEqual([]);
    const beyond = node.readLog('t', { from: BigInt(appliedIndex + 2), follow: true });
    await beyond.ended;
    expect(chunksOf(beyond)).toMatchObject([{ position: { appliedIndex }, entries: [] }]);
  });

  it('of a table that is stopped ends with an error that says to try elsewhere', async () => {
    const node = await FeedNode.open();
    await node.create('t');
    const stream = node.readLog('t', { follow: true });
    await settled();
    await node.delete('t');
    await expect(stream.ended).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });
});

describe('calls for a table', () => {
  it('are refused where there is none, or where its history began anew', async () => {
    const node = await FeedNode.open();
    const table = await node.create('t');
    for (const open of [node.readLog.bind(node), node.readTable.bind(node)]) {
      await expect(open('none').ended).rejects.toMatchObject({ code: status.NOT_FOUND });
      const other = open('t', { epoch: BigInt(table.id + 1) });
      await expect(other.ended).rejects.toMatchObject({
        code: status.FAILED_PRECONDITION,
        metadata: { [FEED_REASON]: FEED_REASONS.otherEpoch },
      });
      await open('t', { epoch: BigInt(table.id) }).ended;
    }
    await expect(node.readLog('t', { from: 0n }).ended).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
  });

  it('are passed on to a node that has a replica, for as long as they are wanted', async () => {
    const passed: unknown[] = [];
    const node = await FeedNode.open({
      stream: async function* (to, { method, hops, deadlineMs }) {
        passed.push({ to, method, hops, deadlineMs });
        yield Buffer.from('as it is');
      },
    });
    await node.create('elsewhere', [7]);
    const stream = node.readLog('elsewhere', { follow: true });
    await stream.ended;
    expect(stream.messages.map(String)).toEqual(['as it is']);
    const method = '/flotilla.replication.v1.Feed/ReadLog';
    expect(passed).toEqual([{ to: 7, method, hops: 0, deadlineMs: Infinity }]);
  });
});

describe('a whole table', () => {
  const chunks = ({ messages }: OpenStream) => messages.map((each) => hot.decodeTableChunk(each));

  it('is told as of the moment it was asked for, in the order of keys, with its index', async () => {
    const node = await FeedNode.open();
    const table = await node.create('t');
    for (let nth = 0; nth < 30; nth++) await node.put(table, `k${nth}`, Buffer.alloc(100, nth));
    const index = await node.put(table, 'k7', 'again');
    const stream = node.readTable('t', { chunkBytesMax: 1000, linearizable: true });
    const release = stream.hold();
    await vi.waitFor(() => expect(stream.messages.length).toBe(1), WAIT);
    await node.put(table, 'k8', 'too late');
    release();
    await stream.ended;
    const told = chunks(stream);
    const rows = told.flatMap((chunk) => chunk.rows);
    const keys = rows.map(({ key }) => key.toString());
    expect(keys).toEqual(Array.from({ length: 30 }, (_, nth) => `k${nth}`).sort());
    const position = { tableId: table.id, epoch: table.id, appliedIndex: index, revision: index };
    expect(told.map((chunk) => chunk.position)).toEqual([
      { ...position, appliedCheck: await checkAt(table, index) },
      ...told.slice(1).map(() => undefined),
    ]);
    expect(told.map(({ more }) => more)).toEqual([...told.slice(1).map(() => true), false]);
    expect(told.length).toBeGreaterThan(2);
    const again = rows.find(({ key }) => key.toString() === 'k7');
    expect(again).toMatchObject({ value: Buffer.from('again'), modRevision: index, version: 2 });
    expect(rows.find(({ key }) => key.toString() === 'k8')?.value).toEqual(Buffer.alloc(100, 8));
  });

  it('that is empty is one message with its position', async () => {
    const node = await FeedNode.open();
    const table = await node.create('t');
    const stream = node.readTable('t');
    await stream.ended;
    const { appliedIndex } = table.group;
    expect(chunks(stream)).toMatchObject([{ position: { appliedIndex }, rows: [], more: false }]);
  });
});

describe('a table that was filled out of sight', () => {
  const FLOOR = 1_000;

  async function completed(): Promise<{ node: FeedNode; old: RunningTable; table: RunningTable }> {
    const node = await FeedNode.open();
    const old = await node.create('t');
    await node.put(old, 'old');
    const table = await node.beginShadow('t');
    await node.propose(table, fill(1, 1, [FILLED]));
    await node.propose(table, adopt(1, FLOOR));
    return { node, old, table };
  }

  it('is told by a watch once it has taken its name over: as one change, with what it replaced', async () => {
    const { node, old, table } = await completed();
    const stream = node.watch();
    await vi.waitFor(() => expect(stream.messages.length).toBe(1), WAIT);
    await node.completeShadow('t', table.group.appliedIndex);
    await vi.waitFor(() => expect(stream.messages.length).toBe(2), WAIT);
    stream.cancel();
    await stream.ended;
    const told = stream.messages.map((message) => feedV1.TablesChange.decode(message));
    expect(told).toMatchObject([
      { tables: [{ id: BigInt(old.id), epoch: BigInt(old.id) }], deletedTables: [] },
      {
        tables: [{ id: BigInt(table.id), name: 't', epoch: BigInt(old.id + 1), revision: 1_000n }],
        deletedTables: [BigInt(old.id)],
      },
    ]);
  });

  it('has a log whose indexes are revisions, and which begins behind the filling', async () => {
    const { node, table } = await completed();
    await node.completeShadow('t', table.group.appliedIndex);
    const early = node.readLog('t', { from: 1n });
    await early.ended;
    expect(indexesOf(early)).toEqual([]);
    expect(chunksOf(early)).toMatchObject([
      { position: { firstIndex: FLOOR + 1, appliedIndex: FLOOR } },
      { compacted: true, firstIndex: FLOOR + 1 },
    ]);
    await node.put(table, 'a');
    const { revision } = table.machine.state;
    expect(revision).toBe(FLOOR + 1);
    const stream = node.readLog('t', { from: BigInt(FLOOR + 1) });
    await stream.ended;
    expect(chunksOf(stream)).toMatchObject([
      { position: { appliedIndex: revision }, appliedIndex: revision },
      { entries: [{ index: revision }], appliedIndex: revision },
    ]);
    const whole = node.readTable('t');
    await whole.ended;
    const [first] = whole.messages.map((each) => hot.decodeTableChunk(each));
    expect(first?.position).toMatchObject({ appliedIndex: revision, revision });
    expect(first?.rows).toMatchObject([{ modRevision: revision }, { modRevision: 40, version: 4 }]);
  });

  it('is not read from a replica that has not applied all of it', async () => {
    const { node, old, table } = await completed();
    const complete = table.group.appliedIndex + 3;
    await node.completeShadow('t', complete);
    expect(node.registry.get(old.id)).toBeUndefined();
    const stream = node.readTable('t');
    for (let at = table.group.appliedIndex; at < complete; at++) {
      await settled();
      expect(stream.messages).toEqual([]);
      await node.put(table, `k${at}`);
    }
    await stream.ended;
    const rows = stream.messages.flatMap((each) => hot.decodeTableChunk(each).rows);
    expect(rows).toHaveLength(4);
  });

  it('that is adopted while its log is followed: the reader is told that it begins anew', async () => {
    const node = await FeedNode.open();
    const table = await node.create('t');
    await node.put(table, 'k');
    const stream = node.readLog('t', { follow: true });
    await vi.waitFor(() => expect(indexesOf(stream).at(-1)).toBe(table.group.appliedIndex), WAIT);
    await node.propose(table, adopt(undefined, FLOOR));
    await stream.ended;
    expect(chunksOf(stream).at(-1)).toMatchObject({ compacted: true, firstIndex: FLOOR + 1 });
  });
});

describe('a table at a revision, and what changed in it', () => {
  const chunks = ({ messages }: OpenStream) => messages.map((each) => hot.decodeTableChunk(each));
  const rowsOf = (stream: OpenStream) => chunks(stream).flatMap(({ rows }) => rows);
  const named = (stream: OpenStream) =>
    rowsOf(stream).map(({ key, value }) => `${key.toString()}=${value.toString()}`);
  const deletedOf = (stream: OpenStream) =>
    chunks(stream).flatMap(({ deletedKeys }) => deletedKeys.map(String));

  it('is told as it was then, from after a key on, and stands for the entry of that revision', async () => {
    const node = await FeedNode.open();
    const table = await node.create('t');
    for (const key of ['a', 'b', 'c']) await node.put(table, key, 'old');
    const revision = await node.put(table, 'd', 'old');
    for (const key of ['a', 'c', 'e']) await node.put(table, key, 'new');
    await node.remove(table, 'd');
    const stream = node.readTable('t', { atRevision: BigInt(revision), chunkBytesMax: 1 });
    await stream.ended;
    expect(named(stream)).toEqual(['a=old', 'b=old', 'c=old', 'd=old']);
    expect(chunks(stream)[0]?.position).toMatchObject({ appliedIndex: revision, revision });
    expect(chunks(stream).map(({ more }) => more)).toEqual([true, true, true, false]);
    const rest = node.readTable('t', { atRevision: BigInt(revision), afterKey: Buffer.from('b') });
    await rest.ended;
    expect(named(rest)).toEqual(['c=old', 'd=old']);
    const now = node.readTable('t', { afterKey: Buffer.from('b') });
    await now.ended;
    expect(named(now)).toEqual(['c=new', 'e=new']);
  });

  it('is what was put and deleted since, in the order of keys, and can be gone on with', async () => {
    const node = await FeedNode.open();
    const table = await node.create('t');
    for (const key of ['a', 'b', 'c', 'd']) await node.put(table, key, 'old');
    const since = BigInt(table.machine.state.revision);
    for (const key of ['c', 'a', 'e']) await node.put(table, key, 'new');
    await node.remove(table, 'b');
    const revision = await node.remove(table, 'e');
    const stream = node.readTable('t', { sinceRevision: since, chunkBytesMax: 1 });
    await stream.ended;
    expect([named(stream), deletedOf(stream)]).toEqual([
      ['a=new', 'c=new'],
      ['b', 'e'],
    ]);
    const order = chunks(stream).map(({ rows, deletedKeys }) => [
      ...rows.map(({ key }) => key.toString()),
      ...deletedKeys.map(String),
    ]);
    expect(order).toEqual([['a'], ['b'], ['c'], ['e']]);
    expect(chunks(stream)[0]?.position).toMatchObject({ appliedIndex: revision, revision });
    await node.put(table, 'c', 'too late');
    const rest = node.readTable('t', {
      sinceRevision: since,
      atRevision: BigInt(revision),
      afterKey: Buffer.from('b'),
    });
    await rest.ended;
    expect([named(rest), deletedOf(rest)]).toEqual([['c=new'], ['e']]);
    const none = node.readTable('t', { sinceRevision: BigInt(table.machine.state.revision) });
    await none.ended;
    expect(chunks(none)).toMatchObject([{ rows: [], deletedKeys: [], more: false }]);
  });

  it('is refused where history does not tell it any more, or not yet', async () => {
    const node = await FeedNode.open();
    const table = await node.create('t');
    for (const key of ['a', 'b', 'c', 'd']) await node.put(table, key);
    const { revision } = table.machine.state;
    while (!table.machine.compact(revision - 1).done);
    const gone = BigInt(revision - 2);
    const future = BigInt(revision + 1);
    const { revisionAhead, revisionGone } = FEED_REASONS;
    for (const [fields, reason] of [
      [{ atRevision: gone }, revisionGone],
      [{ atRevision: future }, revisionAhead],
      [{ sinceRevision: gone }, revisionGone],
      [{ sinceRevision: future }, revisionAhead],
      [{ sinceRevision: BigInt(revision), atRevision: BigInt(revision - 1) }, revisionAhead],
    ] as const) {
      const refused = expect(node.readTable('t', fields).ended);
      await refused.rejects.toMatchObject({
        code: status.FAILED_PRECONDITION,
        metadata: { [FEED_REASON]: reason },
      });
    }
    const last = node.readTable('t', { atRevision: BigInt(revision - 1) });
    await last.ended;
    expect(named(last)).toEqual(['a=a', 'b=b', 'c=c']);
    for (const field of ['atRevision', 'sinceRevision']) {
      const refused = expect(node.readTable('t', { [field]: 2n ** 53n }).ended);
      await refused.rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    }
  });

  it('ends with an error when history is given up while it is read', async () => {
    const node = await FeedNode.open();
    const table = await node.create('t');
    for (const key of ['a', 'b', 'c', 'd']) await node.put(table, key);
    const stream = node.readTable('t', { sinceRevision: 1n, chunkBytesMax: 1 });
    const release = stream.hold();
    await vi.waitFor(() => expect(stream.messages.length).toBe(1), WAIT);
    const revision = await node.put(table, 'a');
    while (!table.machine.compact(revision).done);
    release();
    await expect(stream.ended).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
      metadata: { [FEED_REASON]: FEED_REASONS.revisionGone },
    });
  });
});

describe('a watch of the tables', () => {
  const told = ({ messages }: OpenStream) =>
    messages.map((message) => feedV1.TablesChange.decode(message));

  it('tells all of them first, then what is created and deleted, then ends when it is left', async () => {
    const node = await FeedNode.open();
    const first = await node.create('first');
    await node.put(first, 'k');
    const stream = node.watch();
    await vi.waitFor(() => expect(stream.messages.length).toBe(1), WAIT);
    const second = await node.create('second');
    await vi.waitFor(() => expect(stream.messages.length).toBe(2), WAIT);
    await node.delete('first');
    await vi.waitFor(() => expect(stream.messages.length).toBe(3), WAIT);
    stream.cancel();
    await stream.ended;
    expect(told(stream)).toMatchObject([
      {
        begins: true,
        more: false,
        tables: [
          {
            id: BigInt(first.id),
            name: 'first',
            epoch: BigInt(first.id),
            revision: BigInt(first.machine.state.revision),
            replicas: [1n],
            preferredLeader: 1n,
          },
        ],
        deletedTables: [],
        generation: 1n,
      },
      { begins: false, tables: [{ name: 'second', id: BigInt(second.id) }], deletedTables: [] },
      { begins: false, tables: [], deletedTables: [BigInt(first.id)] },
    ]);
  });

  it('tells a reader that was behind what is so now, once for each table', async () => {
    const node = await FeedNode.open();
    const stream = node.watch();
    const release = stream.hold();
    await vi.waitFor(() => expect(stream.messages.length).toBe(1), WAIT);
    for (const name of ['a', 'b', 'c']) await node.create(name);
    await node.delete('b');
    expect(stream.messages.length).toBe(1);
    release();
    await vi.waitFor(() => expect(stream.messages.length).toBe(2), WAIT);
    const [, change] = told(stream);
    expect(change?.tables.map(({ name }) => name)).toEqual(['a', 'c']);
    expect(change?.deletedTables).toHaveLength(1);
    stream.cancel();
    await stream.ended;
  });

  it('says nothing at all while the node does not know what the catalog holds', async () => {
    const node = await FeedNode.open();
    node.catalog.barrier = () => Promise.reject(new Error('cut off'));
    const stream = node.watch();
    await expect(stream.ended).rejects.toThrow('cut off');
    expect(stream.messages).toEqual([]);
  });
});
