/** Streams of tables: they take turns by slices, and who has gone takes none. */
import { type CallContext, type MessageSink } from '@flotilla/grpc';
import { hot } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { SlicedReads } from '../kv/sliced-reads.js';
import { passedContext } from '../routing/passed-context.js';
import { BulkTurns } from './bulk-turns.js';
import { type TablePages, type TablePiece } from './table-pages.js';
import { streamTable } from './table-stream.js';

const SOURCE = { tableId: 10_001, epoch: 1, appliedCheck: 0n };
const CLOCK = {
  nowMs: () => 0,
  after: (_delayMs: number, task: () => void) => {
    setImmediate(task);
    return () => undefined;
  },
  turn: () => new Promise<void>((resolve) => setImmediate(resolve)),
};

function rowOf(key: string): TablePiece['rows'][number] {
  const [value, lease] = [Buffer.from('value'), 0];
  return { key: Buffer.from(key), value, createRevision: 1, modRevision: 1, version: 1, lease };
}

/** Two pages, each of so many slices with a row each. */
function pagesOf(name: string, slices: number, read: string[]): TablePages {
  let at = 0;
  return {
    ...{ appliedIndex: 7, revision: 7, logIndex: 7 },
    slice: () => {
      read.push(name);
      at++;
      const isLast = at % slices === 0;
      const row = rowOf(`${name}${at}`);
      return { rows: [row], deletedKeys: [], more: at < 2 * slices, isLast };
    },
    close: () => undefined,
  };
}

function stream(pages: TablePages, turns: BulkTurns, call: CallContext) {
  const keys: string[][] = [];
  const sink: MessageSink = {
    write: (bytes) => {
      keys.push(hot.decodeTableChunk(Buffer.from(bytes)).rows.map(({ key }) => key.toString()));
      return undefined;
    },
  };
  const ended = streamTable(pages, SOURCE, new SlicedReads(CLOCK), turns, CLOCK, call, sink);
  return { keys, ended };
}

const newCall = () => passedContext('/flotilla.replication.v1.Feed/ReadTable', 0);

describe('streams of tables', () => {
  it('take turns by slices, also where a page takes many of them', async () => {
    const read: string[] = [];
    const turns = new BulkTurns(CLOCK);
    const slow = stream(pagesOf('a', 4, read), turns, newCall());
    const quick = stream(pagesOf('b', 1, read), turns, newCall());
    await Promise.all([slow.ended, quick.ended]);
    expect(read.join('')).toBe('ababaaaaaa');
    expect(slow.keys).toEqual([
      ['a1', 'a2', 'a3', 'a4'],
      ['a5', 'a6', 'a7', 'a8'],
    ]);
    expect(quick.keys).toEqual([['b1'], ['b2']]);
  });

  it('end for a reader that has gone while it waited, and read nothing more for it', async () => {
    const read: string[] = [];
    const turns = new BulkTurns(CLOCK);
    const call = newCall();
    const gone = Object.create(call, { cancelled: { get: () => read.length > 1 } }) as CallContext;
    const first = stream(pagesOf('a', 1, read), turns, gone);
    const other = stream(pagesOf('b', 1, read), turns, newCall());
    await Promise.all([first.ended, other.ended]);
    expect(read.join('')).toBe('abb');
    expect(first.keys).toEqual([['a1']]);
  });
});
