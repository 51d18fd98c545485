import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { HostError } from './host-error.js';
import { Proposals } from './proposals.js';

const FAR = 1e9;

describe('proposals', () => {
  const codeOf = (promise: Promise<unknown>) =>
    promise.then(
      () => 'done',
      (error: unknown) => (error instanceof HostError ? error.code : 'unexpected'),
    );

  it('only the entry of the same index and term settles a proposal with its result', async () => {
    const proposals = new Proposals<string>(10);
    const replaced = proposals.wait(3, 1, FAR);
    const kept = proposals.wait(4, 1, FAR);
    proposals.applied(2, 1, 'not waited for');
    proposals.applied(3, 2, 'of another leader');
    proposals.applied(4, 1, 'own');
    expect(await codeOf(replaced)).toBe('aborted');
    expect(await kept).toEqual({ result: 'own', index: 4, term: 1 });
    expect(proposals.size).toBe(0);
  });

  it('lets go of a waiter, and of what it holds, once it is told', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const proposals = new Proposals<string>(10);
    const held: WeakRef<object>[] = [];
    const enter = (index: number) => {
      const proposed = { bytes: Buffer.alloc(10) };
      held.push(new WeakRef(proposed));
      const waiter = { resolve: () => void proposed.bytes, reject: () => void proposed.bytes };
      proposals.entered([{ data: Buffer.alloc(0), deadlineMs: FAR, waiter }], index, 1);
    };
    for (const index of [1, 2, 3]) enter(index);
    proposals.applied(2, 1, 'the first one was replaced, the second is told');
    // A weak reference keeps what it gave until the turn is over.
    await turn();
    collect();
    expect(held.map((each) => each.deref() !== undefined)).toEqual([false, false, true]);
    expect(proposals.size).toBe(1);
  });

  it('a proposal at a lower index aborts what the newer leader has cut off', async () => {
    const proposals = new Proposals<string>(10);
    const [kept, cut, cutToo] = [3, 4, 5].map((index) => proposals.wait(index, 1, FAR));
    const fresh = proposals.wait(4, 3, FAR);
    expect(await Promise.all([cut, cutToo].map((each) => codeOf(each ?? fresh)))).toEqual([
      'aborted',
      'aborted',
    ]);
    proposals.applied(3, 1, 'a');
    proposals.applied(4, 3, 'b');
    expect((await kept)?.result).toBe('a');
    expect((await fresh).result).toBe('b');
  });

  it('a timed out proposal keeps its place, and its late result reaches nobody else', async () => {
    const proposals = new Proposals<string>(2);
    const late = proposals.wait(1, 1, 10);
    const next = proposals.wait(2, 1, 30);
    proposals.expire(10);
    expect(await codeOf(late)).toBe('timeout');
    expect(proposals.isFull).toBe(true);
    proposals.applied(1, 1, 'late');
    expect(proposals.isFull).toBe(false);
    proposals.applied(2, 1, 'next');
    expect((await next).result).toBe('next');
  });

  it('thousands that come and go keep their order and leave nothing behind', async () => {
    const proposals = new Proposals<number>(5_000);
    const outcomes: Promise<{ result: number }>[] = [];
    for (let index = 1; index <= 12_000; index++) {
      outcomes.push(proposals.wait(index, 1, FAR));
      if (index > 3_000) proposals.applied(index - 3_000, 1, index - 3_000);
    }
    expect(proposals.size).toBe(3_000);
    const settled = await Promise.all(outcomes.slice(0, 9_000));
    expect(settled.every(({ result }, at) => result === at + 1)).toBe(true);
    const rest = Promise.allSettled(outcomes.slice(9_000));
    proposals.failAll('closed', 'the end');
    expect((await rest).every(({ status }) => status === 'rejected')).toBe(true);
    expect(proposals.size).toBe(0);
  });

  it('says that the outcome is unknown unless the entry is known to be replaced', () => {
    const unknown = (['timeout', 'closed', 'group-closed', 'aborted', 'busy'] as const).filter(
      (code) => new HostError(code, 'x').outcomeUnknown,
    );
    expect(unknown).toEqual(['timeout', 'closed', 'group-closed']);
  });
});
