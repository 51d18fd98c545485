/**
 * The small parts of following by the stream: credit, the queue of one table, views of tables,
 * generations.
 */
import { feedV1, mvccV1 } from '@flotilla/proto';
import { beforeEach, describe, expect, it } from 'vitest';
import { CreditExceededError, CreditWindow } from './credit-window.js';
import { checkGeneration, GenerationRefusedError, MemoryGenerations } from './generations.js';
import { LinkSubscription, STUCK_MS } from './link-subscription.js';
import { TableViews } from './table-views.js';

describe('the window of credit', () => {
  it('gives back all that was done with, in portions', () => {
    const window = new CreditWindow(1_600, 0);
    let given = 0;
    for (let nth = 0; nth < 50; nth++) {
      window.received(30);
      given += window.done(30);
    }
    expect(window.heldBytes).toBe(0);
    expect(1_500 - given).toBeLessThan(100);
    expect(given % 30).toBe(0);
  });

  it('refuses more than was allowed, but for the end of a message', () => {
    const window = new CreditWindow(1_000, 100);
    window.received(1_000);
    window.received(100);
    expect(() => window.received(1)).toThrow(CreditExceededError);
  });
});

describe('the log of one table', () => {
  const SHARE_BYTES = 4_000;
  const PLACE = { leaderIndex: 9, leaderClockMs: 77 };
  const of = { table: 'orders', source: { tableId: 7, epoch: 1 } };
  let nowMs: number;
  let released: number;
  let closed: number;
  let subscription: LinkSubscription;

  beforeEach(() => {
    nowMs = 0;
    released = 0;
    closed = 0;
    const owner = { release: (bytes: number) => (released += bytes), closed: () => closed++ };
    subscription = new LinkSubscription(1, of, owner, () => nowMs, SHARE_BYTES);
  });

  function push(index: number, bytes: number): void {
    subscription.push([{ index, command: Buffer.alloc(bytes, 0x0a) }], PLACE);
  }

  it('gives credit back for what is in the copy, and no sooner', async () => {
    push(1, 10);
    push(2, 20);
    await subscription.next();
    await subscription.next();
    expect(released).toBe(0);
    subscription.applied(1);
    expect(released).toBe(10);
    subscription.applied(2);
    expect(released).toBe(30);
  });

  it('lets go of everything once when its reader leaves, and of what comes after that', async () => {
    push(1, 10);
    push(2, 20);
    await subscription.next();
    subscription.close();
    subscription.close();
    expect([released, closed]).toEqual([30, 1]);
    push(3, 5);
    expect(released).toBe(35);
    expect(await subscription.next()).toBeUndefined();
  });

  it('that is stuck lets go of what was not read, and ends to be asked for again', async () => {
    const half = SHARE_BYTES / 2;
    push(1, half);
    await subscription.next();
    push(2, half);
    nowMs = STUCK_MS;
    expect(subscription.isStuck).toBe(false);
    push(3, 1);
    expect(subscription.isStuck).toBe(true);
    subscription.pause();
    expect(released).toBe(half + 1);
    subscription.applied(1);
    expect(released).toBe(2 * half + 1);
    expect(await subscription.next()).toMatchObject({ kind: 'final', entries: [] });
    expect(await subscription.next()).toBeUndefined();
  });

  it('that moves is not stuck, however much it holds', async () => {
    for (let index = 1; index < 10; index++) {
      push(index, SHARE_BYTES);
      await subscription.next();
      nowMs += STUCK_MS;
      subscription.applied(index - 1);
      expect(subscription.isStuck).toBe(false);
    }
  });

  it('has commands with their indexes, and empty ones that only move the copy on', async () => {
    const { PUT, DUMMY } = mvccV1.Command_CommandType;
    const put = mvccV1.Command.fromPartial({ type: PUT, table: Buffer.from('orders') });
    const command = Buffer.from(mvccV1.Command.encode(put).finish());
    const last = 2 ** 40 + 3;
    const entries = [5, 300, last].map((index) => ({ index, command }));
    subscription.push([...entries, { index: last + 1, command: Buffer.alloc(0) }], PLACE);
    const message = await subscription.next();
    const read = message?.entries.map((entry) => mvccV1.Command.decode(entry.command));
    expect(read?.map(({ leaderIndex }) => Number(leaderIndex))).toEqual([5, 300, last, last + 1]);
    expect(read?.map(({ type }) => type)).toEqual([PUT, PUT, PUT, DUMMY]);
  });
});

describe('views of tables', () => {
  function change(fields: Partial<feedV1.TablesChange>): feedV1.TablesChange {
    return feedV1.TablesChange.fromPartial(fields);
  }
  const table = (id: number, name = `t${id}`, epoch = 1n) =>
    feedV1.Table.fromPartial({ id: BigInt(id), name, epoch });
  const source = (tableId: number) => ({ tableId, epoch: 1 });
  let views: TableViews;

  beforeEach(() => {
    views = new TableViews();
    views.begin('one');
  });

  it('are not told before they are complete', () => {
    expect(views.take(change({ begins: true, more: true, tables: [table(1)] }))).toBeUndefined();
    const tables = views.take(change({ tables: [table(2, 't2', 3n)] }));
    expect([...(tables?.sources ?? [])]).toEqual([
      ['t1', { tableId: 1, epoch: 1 }],
      ['t2', { tableId: 2, epoch: 3 }],
    ]);
  });

  it('have the younger table while one takes the name of another', () => {
    views.take(change({ begins: true, tables: [table(5, 'name')] }));
    const both = views.take(change({ tables: [table(9, 'name')] }));
    expect(both?.sources.get('name')?.tableId).toBe(9);
    const after = views.take(change({ deletedTables: [5n] }));
    expect(after?.sources.get('name')?.tableId).toBe(9);
    expect(after?.isDeleted(source(5))).toBe(true);
  });

  it('know a table as gone that was told to be, and remember it over streams of that cluster', () => {
    views.take(change({ begins: true, tables: [table(1), table(2)] }));
    expect(views.take(change({ deletedTables: [1n] }))?.isDeleted(source(1))).toBe(true);
    views.begin('one');
    expect(views.take(change({ begins: true }))?.isDeleted(source(1))).toBe(true);
    views.begin('two');
    expect(views.take(change({ begins: true }))?.isDeleted(source(1))).toBe(false);
  });

  it('forget that a table is gone once it is told again, as by a cluster that was set back', () => {
    views.take(change({ begins: true, tables: [table(1), table(2)] }));
    views.take(change({ deletedTables: [1n] }));
    views.take(change({ begins: true, tables: [table(1), table(2)] }));
    views.begin('one');
    expect(views.take(change({ begins: true }))?.isDeleted(source(1))).toBe(false);
  });

  it.each<[string, string, number[], boolean]>([
    ['an empty view', 'one', [], false],
    ['a view with older tables alone', 'one', [1], false],
    ['a view of another cluster', 'two', [1, 9], false],
    ['a view with a younger table', 'one', [1, 9], true],
  ])('of %s: a table that it lacks is gone or not', (_, cluster, ids, isGone) => {
    views.take(change({ begins: true, tables: [table(1), table(5)] }));
    views.begin(cluster);
    const tables = views.take(change({ begins: true, tables: ids.map((id) => table(id)) }));
    expect(tables?.isDeleted(source(5))).toBe(isGone);
  });

  it('say nothing of a table that this gateway has never heard of', () => {
    const tables = views.take(change({ begins: true, tables: [table(9)] }));
    expect(tables?.isDeleted(source(5))).toBe(false);
  });

  it('of clusters without an id are never of the same one', () => {
    views.begin('');
    views.take(change({ begins: true, tables: [table(5)] }));
    views.begin('');
    const tables = views.take(change({ begins: true, tables: [table(9)] }));
    expect(tables?.isDeleted(source(5))).toBe(false);
  });
});

describe('generations', () => {
  const known = { number: 4, clusterId: 'a' };

  it('are followed if they are higher, or the same of the same cluster', () => {
    for (const offered of [known, { number: 5, clusterId: 'b' }]) checkGeneration(offered, known);
    checkGeneration({ number: 0, clusterId: 'b' }, { number: 0, clusterId: '' });
    for (const offered of [
      { number: 3, clusterId: 'a' },
      { number: 4, clusterId: 'b' },
    ]) {
      expect(() => checkGeneration(offered, known)).toThrow(GenerationRefusedError);
    }
  });

  it('are remembered, and never go back', async () => {
    const generations = new MemoryGenerations();
    await generations.remember(known);
    await generations.remember({ number: 3, clusterId: 'b' });
    expect(await generations.highest()).toEqual(known);
  });
});
