import { describe, expect, it } from 'vitest';
import { PassedWaits } from './passed-waits.js';

const ok = { answer: Buffer.from('old'), index: 1, code: 0, message: '', notExecuted: false };

describe('calls passed on', () => {
  it('an answer to what was asked before a restart answers nothing that is asked after it', async () => {
    const draws = [0.25, 0.75];
    const before: number[] = [];
    const after: number[] = [];
    const first = new PassedWaits(() => draws.shift() ?? 0);
    const asked = first.ask(2, 1_000, (id) => before.push(id) > 0);
    first.answered(2, { id: before[0] ?? 0, ...ok });
    expect((await asked).answer.toString()).toBe('old');

    const second = new PassedWaits(() => draws.shift() ?? 0);
    const waiting = second.ask(2, 1_000, (id) => after.push(id) > 0);
    second.answered(2, { id: before[0] ?? 0, ...ok });
    second.expire(2_000);
    await expect(waiting).rejects.toThrow('timeout');
    expect(Number.isSafeInteger(after[0])).toBe(true);
  });
});
