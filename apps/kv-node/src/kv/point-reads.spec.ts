/**
 * Point reads of one tick: one read of the engine a table, an answer or an error for each.
 */
import { openMemoryEngine, type RangeQuery, TableStateMachine } from '@flotilla/mvcc';
import { regattaV1 } from '@flotilla/proto';
import { describe, expect, it, vi } from 'vitest';
import { type RunningTable } from '../tables/table-registry.js';
import { POINT_READS_MAX, PointReads } from './point-reads.js';

const HEADER = { shardId: 7, replicaId: 1, revision: 0, raftTerm: 1, raftLeaderId: 1 };

function tableOf(machine: Pick<TableStateMachine, 'pagesOfKeys'>): RunningTable {
  return { machine, header: { ofRead: () => HEADER } } as unknown as RunningTable;
}

function pages(queries: readonly RangeQuery[]) {
  return queries.map(({ key }) => ({ kvs: [], more: false, count: key.length }));
}

const countOf = (answer: Uint8Array) => Number(regattaV1.RangeResponse.decode(answer).count);
const query = (length: number): RangeQuery => ({ key: Buffer.alloc(length, 1) });

describe('point reads that memory has no answer for', () => {
  it('of one tick are one read, each with the answer to its own key', async () => {
    const pagesOfKeys = vi.fn(pages);
    const table = tableOf({ pagesOfKeys });
    const reads = new PointReads();
    const answers = [3, 1, 2].map((length) => reads.read(table, query(length)));
    expect(pagesOfKeys).not.toHaveBeenCalled();
    expect((await Promise.all(answers)).map(countOf)).toEqual([3, 1, 2]);
    expect(pagesOfKeys).toHaveBeenCalledTimes(1);
    expect(countOf(await reads.read(table, query(5)))).toBe(5);
    expect(pagesOfKeys).toHaveBeenCalledTimes(2);
  });

  it('of two tables do not meet', async () => {
    const [one, other] = [vi.fn(pages), vi.fn(pages)];
    const reads = new PointReads();
    const answers = [
      reads.read(tableOf({ pagesOfKeys: one }), query(1)),
      reads.read(tableOf({ pagesOfKeys: other }), query(2)),
    ];
    expect((await Promise.all(answers)).map(countOf)).toEqual([1, 2]);
    expect(one.mock.calls[0]?.[0]).toHaveLength(1);
    expect(other.mock.calls[0]?.[0]).toHaveLength(1);
  });

  it('are never more than the bound in one read', async () => {
    const pagesOfKeys = vi.fn(pages);
    const table = tableOf({ pagesOfKeys });
    const reads = new PointReads();
    const many = Array.from({ length: POINT_READS_MAX * 2 + 3 }, (_, at) => query((at % 50) + 1));
    const answers = await Promise.all(many.map((each) => reads.read(table, each)));
    expect(answers.map(countOf)).toEqual(many.map(({ key }) => key.length));
    const sizes = pagesOfKeys.mock.calls.map(([queries]) => queries.length);
    expect(sizes).toEqual([POINT_READS_MAX, POINT_READS_MAX, 3]);
  });

  it('of a table that is closed meanwhile are refused, the next tick goes on', async () => {
    const machine = new TableStateMachine({ engine: openMemoryEngine(), tableId: 1 });
    const reads = new PointReads();
    const answers = [1, 2].map((length) => reads.read(tableOf(machine), query(length)));
    machine.destroy();
    const settled = await Promise.allSettled(answers);
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const table = tableOf({ pagesOfKeys: pages });
    expect(countOf(await reads.read(table, query(4)))).toBe(4);
  });
});
