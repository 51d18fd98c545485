/**
 * Logs and tables read from nodes that come and go.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { feedV1, hot } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { A, B, FakeNodes, type NodeCall, unavailable } from '../../test/support/fake-nodes.js';
import { TABLE } from '../../test/support/fake-feed.js';
import { Feed, READ_LOG, type LogChunk } from './feed.js';
import { type TableDirectory } from './table-directory.js';

const NOTHING = { position: undefined, entries: [], compacted: false, firstIndex: 0 };
const SIGNAL = new AbortController().signal;
const EPOCH = 10_001;

function feedOf(nodes: FakeNodes): Feed {
  const directory = { find: () => undefined } as unknown as TableDirectory;
  return new Feed(nodes.pool, directory, nodes.clock);
}

function position(appliedIndex: number): Buffer {
  const where = { tableId: EPOCH, epoch: EPOCH, firstIndex: 1, appliedIndex };
  return hot.encodeLogChunk({ ...NOTHING, position: where, appliedIndex });
}

function entries(...indexes: number[]): Buffer {
  const command = Buffer.from('c');
  const given = indexes.map((index) => ({ index, command }));
  return hot.encodeLogChunk({ ...NOTHING, entries: given, appliedIndex: 99 });
}

async function indexesOf(chunks: AsyncIterable<LogChunk>): Promise<number[]> {
  const indexes: number[] = [];
  for await (const chunk of chunks) indexes.push(...chunk.entries.map(({ index }) => index));
  return indexes;
}

function read(nodes: FakeNodes, from = 1): AsyncIterable<LogChunk> {
  const options = { deadlineMs: undefined, signal: SIGNAL, chunkBytesMax: 1000 };
  return feedOf(nodes).readLog(TABLE, from, options);
}

const asked = ({ request }: NodeCall) => feedV1.ReadLogRequest.decode(request);

describe('a log', () => {
  it('is read as it was when the call began, whatever is appended meanwhile', async () => {
    const nodes = new FakeNodes([A]).on(A, () => [position(3), entries(1, 2), entries(3, 4)]);
    expect(await indexesOf(read(nodes))).toEqual([1, 2, 3]);
    expect(nodes.calls[0]?.path).toBe(READ_LOG);
  });

  it('goes on at another node from the entry that comes next, of the same history', async () => {
    const nodes = new FakeNodes();
    let lost = 0;
    const conduct = (call: NodeCall) => {
      const from = Number(asked(call).from);
      if (from === 1) lost++;
      return from === 1
        ? [position(5), entries(1, 2), unavailable()]
        : [position(7), entries(3, 4, 5, 6)];
    };
    nodes.on(A, conduct).on(B, conduct);
    expect(await indexesOf(read(nodes))).toEqual([1, 2, 3, 4, 5]);
    expect(lost).toBe(1);
    expect(new Set(nodes.called)).toEqual(new Set([A, B]));
    expect(nodes.calls.map((call) => Number(asked(call).epoch))).toEqual([0, EPOCH]);
  });

  it('waits for a replica that does not have yet what another one has told', async () => {
    const nodes = new FakeNodes();
    let answered = 0;
    const conduct = () => {
      answered++;
      if (answered === 1) return [position(4), entries(1, 2), unavailable()];
      return answered < 4 ? [position(2)] : [position(4), entries(3, 4)];
    };
    nodes.on(A, conduct).on(B, conduct);
    expect(await indexesOf(read(nodes))).toEqual([1, 2, 3, 4]);
  });

  it('of another epoch is never mixed with what was read (defect B4)', async () => {
    const refusal = new GrpcStatusError(status.FAILED_PRECONDITION, 'its history began anew');
    const conduct = (call: NodeCall) =>
      Number(asked(call).epoch) === 0 ? [position(4), entries(1), unavailable()] : [refusal];
    const nodes = new FakeNodes().on(A, conduct).on(B, conduct);
    await expect(indexesOf(read(nodes))).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
    });
  });

  it.each([
    ['a gap', [position(5), entries(1, 3)]],
    ['an index twice', [position(5), entries(1, 2), entries(2, 3)]],
    ['no position', [entries(1)]],
  ])('with %s is refused: indexes only grow', async (_, answers) => {
    const nodes = new FakeNodes([A]).on(A, () => answers);
    await expect(indexesOf(read(nodes))).rejects.toMatchObject({ code: status.INTERNAL });
  });

  it('that no node gives is given up after a while, with the reason of the last one', async () => {
    const nodes = new FakeNodes();
    const reading = indexesOf(read(nodes));
    await expect(reading).rejects.toMatchObject({ code: status.UNAVAILABLE });
    expect(nodes.calls.length).toBeLessThan(20);
    expect(new Set(nodes.called)).toEqual(new Set([A, B]));
  });

  it('that was cut is said to be, and nothing more is asked', async () => {
    const cut = hot.encodeLogChunk({ ...NOTHING, compacted: true, firstIndex: 9, appliedIndex: 9 });
    const nodes = new FakeNodes([A]).on(A, () => [position(9), cut]);
    const chunks: LogChunk[] = [];
    for await (const chunk of read(nodes)) chunks.push(chunk);
    expect(chunks.map(({ compacted }) => compacted)).toEqual([false, true]);
    expect(nodes.calls).toHaveLength(1);
  });
});

describe('a log that is followed', () => {
  const follow = (nodes: FakeNodes, from = 1, signal: AbortSignal = SIGNAL) =>
    feedOf(nodes).followLog({ name: 'orders', epoch: EPOCH }, from, {
      signal,
      chunkBytesMax: 1000,
    });

  /** So many entries, and then no more is asked for. */
  async function some(chunks: AsyncIterable<LogChunk>, count: number): Promise<number[]> {
    const indexes: number[] = [];
    for await (const { entries: given } of chunks) {
      indexes.push(...given.map(({ index }) => index));
      if (indexes.length >= count) break;
    }
    return indexes;
  }

  it('goes on and on, at whichever node there is, from the entry that comes next', async () => {
    const nodes = new FakeNodes();
    const conduct = (call: NodeCall) => {
      const from = Number(asked(call).from);
      // Each answer ends some way or other: by a loss, in good order, because its reader rested.
      const rested = new GrpcStatusError(status.DEADLINE_EXCEEDED, 'the reader took nothing');
      const end = [[unavailable()], [], [rested]][from % 3] ?? [];
      return [position(from + 1), entries(from, from + 1), ...end];
    };
    nodes.on(A, conduct).on(B, conduct);
    const last = 60;
    expect(await some(follow(nodes), last)).toEqual(
      Array.from({ length: last }, (_, at) => at + 1),
    );
    for (const call of nodes.calls) {
      expect(asked(call)).toMatchObject({ epoch: BigInt(EPOCH), follow: true, linearizable: true });
    }
  });

  it('waits for a node that is behind the others, and does not take it for the end', async () => {
    let answers = 0;
    const conduct = () => {
      answers++;
      if (answers === 1) return [position(4), entries(1, 2), unavailable()];
      return answers < 4 ? [position(1)] : [position(4), entries(3, 4)];
    };
    const nodes = new FakeNodes().on(A, conduct).on(B, conduct);
    expect(await some(follow(nodes), 4)).toEqual([1, 2, 3, 4]);
  });

  it('that ends before the first wanted entry says so by its position, and is over', async () => {
    const nodes = new FakeNodes([A]).on(A, () => [position(3)]);
    const chunks: LogChunk[] = [];
    for await (const chunk of follow(nodes, 5)) chunks.push(chunk);
    expect(chunks).toMatchObject([{ position: { appliedIndex: 3 }, entries: [] }]);
    expect(nodes.calls).toHaveLength(1);
  });

  it.each([
    ['a gap', [position(5), entries(1, 3)], status.INTERNAL],
    ['no position', [entries(1)], status.INTERNAL],
    ['another history', [new GrpcStatusError(status.FAILED_PRECONDITION, 'anew')], 9],
    ['no table', [new GrpcStatusError(status.NOT_FOUND, 'table not found')], status.NOT_FOUND],
    ['nodes that are all gone', [unavailable()], status.UNAVAILABLE],
  ])('with %s is refused', async (_, answers, code) => {
    const nodes = new FakeNodes([A]).on(A, () => answers);
    await expect(some(follow(nodes), 9)).rejects.toMatchObject({ code });
    expect(nodes.calls.length).toBeLessThan(20);
  });
});

describe('a whole table', () => {
  const where = { tableId: EPOCH, epoch: EPOCH, appliedIndex: 7, revision: 7 };
  const row = { value: Buffer.from('v'), createRevision: 1, modRevision: 1, version: 1 };
  const chunk = (key: string, isFirst: boolean, more: boolean) =>
    hot.encodeTableChunk({
      position: isFirst ? where : undefined,
      rows: [{ key: Buffer.from(key), ...row }],
      more,
      deletedKeys: [],
    });

  async function keysOf(nodes: FakeNodes): Promise<string[]> {
    const keys: string[] = [];
    const options = { deadlineMs: undefined, signal: SIGNAL };
    for await (const { rows } of feedOf(nodes).readTable(TABLE, options)) {
      keys.push(...rows.map(({ key }) => key.toString()));
    }
    return keys;
  }

  it('is read from another node if the first one has not begun', async () => {
    let refused = 0;
    const conduct = () =>
      refused++ === 0 ? [unavailable()] : [chunk('a', true, true), chunk('b', false, false)];
    const nodes = new FakeNodes().on(A, conduct).on(B, conduct);
    expect(await keysOf(nodes)).toEqual(['a', 'b']);
  });

  it('is never put together from two nodes: they have it as of two moments', async () => {
    const conduct = () => [chunk('a', true, true), unavailable()];
    const nodes = new FakeNodes().on(A, conduct).on(B, conduct);
    await expect(keysOf(nodes)).rejects.toMatchObject({ code: status.UNAVAILABLE });
    expect(nodes.calls).toHaveLength(1);
  });

  it('that was cut short does not pass for a whole one', async () => {
    const nodes = new FakeNodes([A]).on(A, () => [chunk('a', true, true)]);
    await expect(keysOf(nodes)).rejects.toMatchObject({ message: 'a table was cut short' });
  });
});

describe('a log that is followed', () => {
  const last = (lastCheck: bigint | undefined, ...indexes: number[]): Buffer => {
    const given = indexes.map((index) => ({ index, command: Buffer.from('c') }));
    return hot.encodeLogChunk({ ...NOTHING, entries: given, appliedIndex: 99, lastCheck });
  };
  const diverged = () =>
    hot.encodeLogChunk({ ...NOTHING, appliedIndex: 99, diverged: true, lastCheck: 9n });

  async function followed(nodes: FakeNodes, previousCheck?: bigint): Promise<LogChunk[]> {
    const options = { signal: SIGNAL, chunkBytesMax: 1000, previousCheck };
    const chunks: LogChunk[] = [];
    const log = feedOf(nodes).followLog({ name: 't', epoch: EPOCH }, 1, options);
    for await (const chunk of log) chunks.push(chunk);
    return chunks;
  }

  it('is held against each node that goes on with it: by what its reader has, then by what came', async () => {
    const answers = [
      [position(9), last(11n, 1), last(33n, 2, 3), unavailable()],
      [position(9), last(undefined, 4), unavailable()],
      [position(9), diverged()],
    ];
    const nodes = new FakeNodes([A]).on(A, () => answers.shift() ?? []);
    await followed(nodes, 7n);
    const places = nodes.calls.map((call) => [asked(call).from, asked(call).previousCheck]);
    expect(places).toEqual([
      [1n, 7n],
      [4n, 33n],
      [5n, undefined],
    ]);
  });

  it('ends where it is of another history, and its reader is told', async () => {
    const nodes = new FakeNodes([A]).on(A, () => [position(9), diverged(), last(11n, 1)]);
    const chunks = await followed(nodes, 7n);
    expect(chunks.map((chunk) => chunk.diverged)).toEqual([undefined, true]);
    expect(nodes.calls).toHaveLength(1);
  });
});
