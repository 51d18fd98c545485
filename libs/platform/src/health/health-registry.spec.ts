import { describe, expect, it, vi } from 'vitest';
import { HealthRegistry } from './health-registry.js';

/** Time enough for a busy machine; it comes within moments. */
const WAIT = { timeout: 60_000 };

const pass = () => undefined;
const hang = () => new Promise<void>(() => undefined);

describe('health', () => {
  it('is good without checks, and as bad as its worst check', async () => {
    const registry = new HealthRegistry();
    expect(await registry.run()).toEqual({ healthy: true, results: [] });
    registry.register({ name: 'log', kind: 'liveness', check: pass });
    registry.register({
      name: 'raft',
      kind: 'readiness',
      check: () => Promise.reject(new Error('no leader')),
    });
    const report = await registry.run();
    expect(report.healthy).toBe(false);
    expect(report.results).toMatchObject([
      { name: 'log', healthy: true, reason: '' },
      { name: 'raft', healthy: false, reason: 'no leader' },
    ]);
  });

  it('liveness does not ask readiness checks, readiness asks both', async () => {
    const registry = new HealthRegistry();
    const live = vi.fn(pass);
    const ready = vi.fn(() => {
      throw new Error('not yet');
    });
    registry.register({ name: 'live', kind: 'liveness', check: live });
    registry.register({ name: 'ready', kind: 'readiness', check: ready });
    expect((await registry.run('liveness')).healthy).toBe(true);
    expect([live.mock.calls.length, ready.mock.calls.length]).toEqual([1, 0]);
    expect((await registry.run('readiness')).results).toHaveLength(2);
  });

  it('a check that hangs fails at its deadline, is told so, and is not started twice', async () => {
    const registry = new HealthRegistry();
    let signal: AbortSignal | undefined;
    let finish: () => void = pass;
    const check = vi.fn((given: AbortSignal) => {
      signal = given;
      return new Promise<void>((resolve) => (finish = resolve));
    });
    registry.register({ name: 'disk', kind: 'readiness', deadlineMs: 10, check });
    const reasons = [await registry.run(), await registry.run()].map(
      ({ results }) => results[0]?.reason,
    );
    expect(reasons).toEqual(['no answer within 10 ms', 'no answer within 10 ms']);
    expect(check).toHaveBeenCalledTimes(1);
    expect(signal?.aborted).toBe(true);
    finish();
    await new Promise((resolve) => setTimeout(resolve, 1));
    const again = registry.run();
    expect(check).toHaveBeenCalledTimes(2);
    finish();
    expect((await again).healthy).toBe(true);
  });

  it('a check that throws at once is asked again the next time', async () => {
    const registry = new HealthRegistry();
    const check = vi.fn(() => {
      throw new Error('');
    });
    registry.register({ name: 'x', kind: 'readiness', check });
    expect((await registry.run()).results[0]?.reason).toBe('failed');
    await registry.run();
    expect(check).toHaveBeenCalledTimes(2);
  });

  it('a name is taken once, and free again when its check is removed', () => {
    const registry = new HealthRegistry();
    const remove = registry.register({ name: 'x', kind: 'liveness', check: pass });
    expect(() => registry.register({ name: 'x', kind: 'liveness', check: pass })).toThrow(
      'is taken',
    );
    remove();
    registry.register({ name: 'x', kind: 'liveness', check: pass });
  });
});

describe('readiness', () => {
  it('listeners hear of every change and of nothing else', async () => {
    const registry = new HealthRegistry();
    let problem = 'starting';
    registry.register({
      name: 'x',
      kind: 'readiness',
      check() {
        if (problem !== '') throw new Error(problem);
      },
    });
    const heard: boolean[] = [];
    registry.onReadiness((ready) => heard.push(ready));
    for (const next of ['starting', '', '', 'broken', '']) {
      problem = next;
      await registry.run('readiness');
      await registry.run('liveness');
    }
    expect(heard).toEqual([false, true, false, true]);
    const late: boolean[] = [];
    const remove = registry.onReadiness((ready) => late.push(ready));
    remove();
    registry.drain();
    expect(late).toEqual([true]);
  });

  it('once draining it is never ready again, even by a run that began before', async () => {
    const registry = new HealthRegistry();
    let finish: () => void = pass;
    registry.register({
      name: 'slow',
      kind: 'readiness',
      check: () => new Promise<void>((resolve) => (finish = resolve)),
    });
    const heard: boolean[] = [];
    registry.onReadiness((ready) => heard.push(ready));
    const before = registry.run('readiness');
    registry.drain('going away');
    finish();
    await before;
    expect(heard).toEqual([false]);
    const after = registry.run('readiness');
    await Promise.resolve();
    finish();
    expect((await after).results.at(-1)).toMatchObject({ name: 'shutdown', reason: 'going away' });
    expect((await registry.run('liveness')).healthy).toBe(true);
  });

  it('watching notices changes that nobody asked for', async () => {
    const registry = new HealthRegistry();
    let broken = false;
    const check = () => {
      if (broken) throw new Error('broken');
    };
    registry.register({ name: 'x', kind: 'readiness', check });
    const heard: boolean[] = [];
    registry.onReadiness((ready) => heard.push(ready));
    registry.watch(2);
    await vi.waitFor(() => expect(heard).toEqual([true]), WAIT);
    broken = true;
    await vi.waitFor(() => expect(heard).toEqual([true, false]), WAIT);
    registry.close();
  });

  it('a hanging check keeps the watch from piling up runs', async () => {
    const registry = new HealthRegistry();
    const check = vi.fn(hang);
    registry.register({ name: 'x', kind: 'readiness', deadlineMs: 500, check });
    registry.watch(1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(check).toHaveBeenCalledTimes(1);
    registry.close();
  });
});
