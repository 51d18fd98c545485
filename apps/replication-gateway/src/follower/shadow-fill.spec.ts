/** A shadow that is filled while the node takes its time. */
import { describe, expect, it } from 'vitest';
import { type FillBatch, type FillOutcome, type ShadowTables } from './ports.js';
import { FILL_BYTES_MAX, LostShadowError, ShadowFill } from './shadow-fill.js';

const SHADOW = { table: 'orders', id: 7, purpose: 'recovery', token: 1, source: undefined };
const TARGET = { table: 'orders', source: { tableId: 3, epoch: 1 } };
/** Two of them are more than a batch holds. */
const VALUE = Buffer.alloc(FILL_BYTES_MAX / 2);
const row = (key: string) => ({
  ...{ key: Buffer.from(key), value: VALUE, createRevision: 1, modRevision: 2, version: 1 },
});
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

async function started() {
  const batches: FillBatch[] = [];
  const answers: ((outcome: FillOutcome) => void)[] = [];
  const never = () => Promise.reject(new Error('nobody asks for it'));
  const shadows: ShadowTables = {
    begin: async () => ({ outcome: 'begun', shadow: SHADOW, batches: 0, note: Buffer.alloc(0) }),
    fill: (_, batch) => {
      batches.push(batch);
      return new Promise((resolve) => answers.push(resolve));
    },
    ...{ complete: never, drop: never, list: never },
    async *read() {
      await settled();
      yield [];
    },
  };
  const fill = await ShadowFill.begin(shadows, TARGET, new AbortController().signal);
  fill.goOn({ index: 5, revision: 5, check: undefined }, 0);
  const answer = async (outcome: FillOutcome) => {
    answers.shift()?.(outcome);
    await settled();
  };
  const answerLast = async (outcome: FillOutcome) => {
    answers.pop()?.(outcome);
    await settled();
  };
  return { fill, batches, answer, answerLast };
}

describe('a shadow that is filled', () => {
  it('is given rows while two batches are on their way, and no other before one of them is written', async () => {
    const { fill, batches, answer } = await started();
    for (const key of ['a', 'b', 'c']) await fill.add(row(key));
    expect(batches.map(({ batch }) => batch)).toEqual([1, 2]);
    const fourth = fill.add(row('d'));
    await settled();
    expect(batches).toHaveLength(2);
    await answer('written');
    await fourth;
    expect(batches.map(({ batch }) => batch)).toEqual([1, 2, 3]);
    const flushed = fill.flush();
    for (let nth = 0; nth < 3; nth++) await answer('written');
    await flushed;
    const keys = batches.map(({ rows }) => rows.map(({ key }) => key.toString()));
    expect(keys).toEqual([['a'], ['b'], ['c'], ['d']]);
    expect(fill.progress?.lastKey.toString()).toBe('d');
  });

  it('is given a batch again that has overtaken the one before it', async () => {
    const { fill, batches, answer, answerLast } = await started();
    for (const key of ['a', 'b', 'c']) await fill.add(row(key));
    await answerLast('out-of-order');
    expect(batches).toHaveLength(2);
    await answer('written');
    expect(batches.map(({ batch }) => batch)).toEqual([1, 2, 2]);
    await answer('out-of-order');
    await expect(fill.flush()).rejects.toThrow('a batch is missing');
  });

  it('ends with the batch that was refused: none is sent after it', async () => {
    const { fill, batches, answer } = await started();
    for (const key of ['a', 'b', 'c']) await fill.add(row(key));
    await answer('old-token');
    await answer('old-token');
    await expect(fill.flush()).rejects.toThrow(LostShadowError);
    expect(batches).toHaveLength(2);
  });
});
