/** When an operator is told of the helper threads, and that what is advised does what it says. */
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { helperThreadsAdvice } from './helper-threads.js';

describe('helper threads', () => {
  it.each([1, 2, 4])('of Node are too many for %i processors', (processors) => {
    expect(helperThreadsAdvice(processors, [])).toContain(`4 helper threads on ${processors} `);
  });

  it.each([
    ['there are processors for them', 5, []],
    ['Node was told', 2, ['--v8-pool-size=0']],
    ['Node was told in the environment', 2, ['', '--max-http-header-size=1 --v8_pool_size=2']],
  ] as const)('are left alone where %s', (_why, processors, told) => {
    expect(helperThreadsAdvice(processors, told)).toBeUndefined();
  });

  it.skipIf(process.platform !== 'linux')('are as many as the flag says', () => {
    const tasks =
      "process.stdout.write(String(require('fs').readdirSync('/proc/self/task').length))";
    const threads = (...flags: string[]) =>
      Number(execFileSync(process.execPath, [...flags, '-e', tasks], { encoding: 'utf8' }));
    const fewest = threads('--v8-pool-size=1');
    expect(threads('--v8-pool-size=0') - fewest).toBe(Math.max(1, availableParallelism() - 1) - 1);
    expect(threads('--v8-pool-size=4') - fewest).toBe(3);
  });
});
