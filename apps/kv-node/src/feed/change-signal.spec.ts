import { describe, expect, it } from 'vitest';
import { ChangeSignal } from './change-signal.js';

const NEVER = new AbortController().signal;

async function isSettled(promise: Promise<void>): Promise<boolean> {
  return Promise.race([promise.then(() => true), Promise.resolve(false)]).then(
    async (settled) => settled || Promise.race([promise.then(() => true), Promise.resolve(false)]),
  );
}

describe('a signal of changes', () => {
  it('loses no change that comes between the look and the wait (defect B6)', async () => {
    const signal = new ChangeSignal();
    const { ticket } = signal;
    signal.raise();
    await signal.since(ticket, NEVER);
    expect(signal.waiters).toBe(0);
  });

  it('lets all who wait go on, and forgets those who gave up', async () => {
    const signal = new ChangeSignal();
    const left = new AbortController();
    const waits = [NEVER, NEVER, left.signal].map((each) => signal.since(signal.ticket, each));
    expect(signal.waiters).toBe(3);
    left.abort();
    await waits[2];
    expect(signal.waiters).toBe(2);
    expect(await isSettled(Promise.race(waits.slice(0, 2)))).toBe(false);
    signal.raise();
    await Promise.all(waits);
    expect(signal.waiters).toBe(0);
  });

  it('waits no longer than it was told', async () => {
    const signal = new ChangeSignal();
    let due: () => void = () => undefined;
    const clock = { after: (_: number, task: () => void) => ((due = task), () => undefined) };
    const waiting = signal.since(signal.ticket, NEVER, { clock, ms: 5 });
    expect(await isSettled(waiting)).toBe(false);
    due();
    await waiting;
    expect(signal.waiters).toBe(0);
  });
});
