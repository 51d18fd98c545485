/** Priorities: of all threads of a process, also of those that a program never sees. */
import { lookup } from 'node:dns/promises';
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { describe, expect, it } from 'vitest';
import { lowerProcessPriority } from './priority.js';

const TASKS = '/proc/self/task';

/** Field 19 of `stat`; the name before it may hold spaces. */
function niceOf(task: string): number {
  const stat = readFileSync(`${TASKS}/${task}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
}

describe.skipIf(process.platform !== 'linux')('a lower priority', () => {
  it('is that of every thread, those of the pool included', async () => {
    await lookup('localhost');
    const nice = Math.min(19, getPriority() + 1);
    lowerProcessPriority(nice);
    const nices = readdirSync(TASKS).map(niceOf);
    expect(nices.length).toBeGreaterThan(5);
    expect(new Set(nices)).toEqual(new Set([nice]));
  });

  it('is never a higher one', () => {
    const nice = getPriority();
    lowerProcessPriority(nice - 1);
    expect(getPriority()).toBe(nice);
  });
});
