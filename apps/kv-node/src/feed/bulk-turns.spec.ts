import { describe, expect, it } from 'vitest';
import { BulkTurns } from './bulk-turns.js';
import { BULK_REST_MS } from './feed-limits.js';

/** A clock whose timers fire when the test says so. */
function heldClock() {
  const timers: { readonly delayMs: number; readonly task: () => void }[] = [];
  const after = (delayMs: number, task: () => void) => {
    timers.push({ delayMs, task });
    return () => undefined;
  };
  return { timers, turns: new BulkTurns({ after }) };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('the turns of those who read whole tables', () => {
  it('are taken one after the other, with a rest in between', async () => {
    const { timers, turns } = heldClock();
    const begun: string[] = [];
    let end: (() => void) | undefined;
    const first = turns.run(() => {
      begun.push('first');
      return new Promise<void>((resolve) => (end = resolve));
    });
    const second = turns.run(() => Promise.resolve(begun.push('second')));
    await settled();
    expect({ begun, timers: timers.length }).toEqual({ begun: ['first'], timers: 0 });
    end?.();
    await first;
    await settled();
    expect({ begun, rests: timers.map(({ delayMs }) => delayMs) }).toEqual({
      begun: ['first'],
      rests: [BULK_REST_MS],
    });
    timers[0]?.task();
    expect(await second).toBe(2);
  });

  it('go on behind work that failed', async () => {
    const { timers, turns } = heldClock();
    await expect(turns.run(() => Promise.reject(new Error('gone')))).rejects.toThrow('gone');
    timers[0]?.task();
    expect(await turns.run(() => Promise.resolve('next'))).toBe('next');
  });
});
