/**
 * How a reader of a log that holds another history is told so, and one that holds the same is not.
 */
import { ENTRIES_PER_CHECK, entryCheck, markOf } from '@flotilla/mvcc';
import { hot, mvccV1 } from '@flotilla/proto';
import { beforeEach, describe, expect, it } from 'vitest';
import { FeedNode, type OpenStream } from '../../test/support/feed-node.js';
import { adopt, fill } from '../../test/support/fill-commands.js';
import { type RunningTable } from '../tables/table-registry.js';
import { checkAt, compare, EntryWindow } from './entry-checks.js';

const OTHER_COMMAND = 1n;
const OTHER_TERM = 1n << 32n;

let node: FeedNode;
let table: RunningTable;

beforeEach(async () => {
  node = await FeedNode.open();
  table = await node.create('t');
  for (let nth = 0; nth < 10; nth++) await node.put(table, `k${nth}`);
});

const chunksOf = ({ messages }: OpenStream) => messages.map((each) => hot.decodeLogChunk(each));

async function checkOf(index: number): Promise<bigint> {
  const check = await checkAt(table, index);
  if (check === undefined) throw new Error(`there is no entry ${index}`);
  return check;
}

/** What a reader that has the entry before `from` with this check is told, without the position. */
async function told(from: number, previousCheck: bigint): Promise<hot.FeedLogChunk[]> {
  const stream = node.readLog('t', { from: BigInt(from), previousCheck });
  await stream.ended;
  return chunksOf(stream).slice(1);
}

const indexesOf = (chunks: hot.FeedLogChunk[]) =>
  chunks.flatMap(({ entries }) => entries.map(({ index }) => index));

describe('the check of an entry', () => {
  it('comes with each message, of its last entry, and is made of the last entries up to it', async () => {
    for (let nth = 0; nth < ENTRIES_PER_CHECK; nth++) await node.put(table, `more ${nth}`);
    const stream = node.readLog('t', { chunkBytesMax: 1 });
    await stream.ended;
    const sent = chunksOf(stream).slice(1);
    const marks = sent.flatMap(({ entries }) =>
      entries.map(({ index, command }) => markOf(table.group.appliedTerm(index) ?? 0, command)),
    );
    expect(marks.length).toBe(table.group.appliedIndex);
    for (const [at, { lastCheck }] of sent.entries()) {
      const last = marks.slice(Math.max(0, at + 1 - ENTRIES_PER_CHECK), at + 1);
      expect(lastCheck).toBe(entryCheck(last));
    }
  });

  it('is the same wherever a reader begins, and however large its messages are', async () => {
    for (let nth = 0; nth < 40; nth++) await node.put(table, `more ${nth}`);
    const { appliedIndex } = table.group;
    for (const from of [1, 2, 7, ENTRIES_PER_CHECK + 1, 40, appliedIndex]) {
      for (const chunkBytesMax of [1, 100, 1_000, 0]) {
        const stream = node.readLog('t', { from: BigInt(from), chunkBytesMax });
        await stream.ended;
        for (const { entries, lastCheck } of chunksOf(stream).slice(1)) {
          expect(lastCheck).toBe(await checkOf(entries.at(-1)?.index ?? 0));
        }
      }
    }
  });

  it('is not told until the log holds all that it covers, and is the same then', async () => {
    for (let nth = 0; nth < 40; nth++) await node.put(table, `more ${nth}`);
    const { appliedIndex } = table.group;
    const check = await checkOf(appliedIndex);
    await node.node.runtime.host.compact(new Map([[table.id, 8]]));
    const stream = node.readLog('t', { from: 9n, chunkBytesMax: 1 });
    await stream.ended;
    const checks = chunksOf(stream)
      .slice(1)
      .map(({ lastCheck }) => lastCheck);
    expect(checks.slice(0, ENTRIES_PER_CHECK - 1).filter((each) => each !== undefined)).toEqual([]);
    expect(checks.slice(ENTRIES_PER_CHECK - 1)).not.toContain(undefined);
    expect(checks.at(-1)).toBe(check);
  });

  it('tells what an election has written from what another one of the same term has', () => {
    const entry = (index: number, term: number, text: string) => ({
      index,
      term,
      data: Buffer.from(text),
    });
    const lastChecks = ['one', 'other'].map((text) => {
      const machine = { state: { bornAtIndex: 0 } };
      const window = new EntryWindow({ group: table.group, machine });
      window.add([entry(1, 1, ''), entry(2, 1, text), entry(3, 2, '')]);
      return window.check;
    });
    expect(lastChecks[0]).not.toBe(lastChecks[1]);
  });

  it('of the entry that a whole table stands for comes with its position', async () => {
    const { revision, appliedIndex } = table.machine.state;
    const positionOf = async (fields: Parameters<FeedNode['readTable']>[1]) => {
      const stream = node.readTable('t', fields);
      await stream.ended;
      return hot.decodeTableChunk(stream.messages[0] ?? Buffer.alloc(0)).position;
    };
    const check = await checkOf(appliedIndex);
    expect(await positionOf({})).toMatchObject({ appliedIndex, appliedCheck: check });
    const earlier = await positionOf({ atRevision: BigInt(revision - 2) });
    expect(earlier?.appliedCheck).toBe(await checkOf(revision - 2));
    await node.node.runtime.host.compact(new Map([[table.id, appliedIndex]]));
    expect((await positionOf({}))?.appliedCheck).toBeUndefined();
  });
});

describe('a reader that says which entry it has', () => {
  it('is told the log if it has the same', async () => {
    const { appliedIndex } = table.group;
    expect(indexesOf(await told(appliedIndex - 1, await checkOf(appliedIndex - 2)))).toEqual([
      appliedIndex - 1,
      appliedIndex,
    ]);
    expect(await told(appliedIndex + 1, await checkOf(appliedIndex))).toEqual([]);
  });

  it('is told that it has another one, of another term or another command, and nothing else', async () => {
    const { appliedIndex } = table.group;
    for (const at of [4, appliedIndex]) {
      for (const change of [OTHER_COMMAND, OTHER_TERM]) {
        const lastCheck = await checkOf(at);
        const sent = await told(at + 1, lastCheck ^ change);
        expect(sent).toMatchObject([{ diverged: true, entries: [], compacted: false, lastCheck }]);
      }
    }
  });

  it('is told no more than that the log ends before it where it does', async () => {
    expect(await told(table.group.appliedIndex + 2, OTHER_COMMAND)).toEqual([]);
  });

  it('is held against the term alone where the entry is the last one that was cut', async () => {
    const check = await checkOf(8);
    await node.node.runtime.host.compact(new Map([[table.id, 8]]));
    expect(indexesOf(await told(9, check))).toContain(9);
    expect(indexesOf(await told(9, check ^ OTHER_COMMAND))).toContain(9);
    expect(await told(9, check ^ OTHER_TERM)).toMatchObject([{ diverged: true, entries: [] }]);
  });

  it('is told that the log was cut where more of it is gone', async () => {
    const check = await checkOf(6);
    await node.node.runtime.host.compact(new Map([[table.id, 8]]));
    for (const given of [check, check ^ OTHER_TERM]) {
      expect(await told(7, given)).toMatchObject([{ compacted: true, firstIndex: 9 }]);
    }
  });

  it('is never taken to have the same where nothing is known of the entry', async () => {
    const group = { readApplied: () => Promise.resolve(undefined), appliedTerm: () => undefined };
    const unknown = { group, machine: { state: { bornAtIndex: 0 } } };
    const window = await EntryWindow.upTo(unknown, 8);
    expect(compare(unknown, window, 8, 0n)).toEqual({ kind: 'unknown' });
  });
});

describe('the log of a table that was filled and adopted', () => {
  const FLOOR = 1_000;
  const FILLED = { key: 'z', value: '1', createRevision: 30, modRevision: 40, version: 4 };

  beforeEach(async () => {
    table = await node.beginShadow('t');
    await node.propose(table, fill(1, 1, [FILLED]));
    await node.propose(table, adopt(1, FLOOR));
    await node.completeShadow('t', table.group.appliedIndex);
  });

  it('goes on behind the adoption for who has that, at the index that it has on the wire', async () => {
    const stream = node.readTable('t');
    await stream.ended;
    const { position } = hot.decodeTableChunk(stream.messages[0] ?? Buffer.alloc(0));
    expect(position?.appliedIndex).toBe(FLOOR);
    const check = position?.appliedCheck ?? 0n;
    expect(check).toBe(await checkOf(table.group.appliedIndex));
    await node.put(table, 'a');
    expect(indexesOf(await told(FLOOR + 1, check))).toEqual([FLOOR + 1]);
    expect(await told(FLOOR + 1, check ^ OTHER_COMMAND)).toMatchObject([{ diverged: true }]);
    expect(await told(FLOOR, check)).toMatchObject([{ compacted: true, firstIndex: FLOOR + 1 }]);
  });

  it('has checks wherever it holds the adoption: what came before is no part of them', async () => {
    await node.put(table, 'a');
    const { appliedIndex } = table.group;
    const { bornAtIndex } = table.machine.state;
    const check = await checkOf(appliedIndex);
    await node.node.runtime.host.compact(new Map([[table.id, bornAtIndex - 1]]));
    expect(await checkAt(table, appliedIndex)).toBe(check);
  });

  it('says nothing of what came too late of those who filled or pulled it', async () => {
    const { Command, Command_CommandType: type } = mvccV1;
    const fence = { epoch: 1n, token: 1n };
    const late = Command.encode(Command.fromPartial({ type: type.SEQUENCE, fence })).finish();
    await node.propose(table, fill(1, 2, [FILLED]));
    await node.propose(table, Buffer.from(late));
    await node.put(table, 'a');
    const stream = node.readLog('t', { from: BigInt(FLOOR + 1) });
    await stream.ended;
    const entries = chunksOf(stream).flatMap((chunk) => chunk.entries);
    expect(entries.map(({ command }) => command.length > 0)).toEqual([false, false, true]);
  });
});
