import { describe, expect, it } from 'vitest';
import { type NamedProcess, ProcessWatch } from './process-watch.js';

const BURNT_MS = 200;

/** CPU, however long that takes beside others. */
function burn(): void {
  const begun = process.cpuUsage();
  for (let spentMs = 0; spentMs < BURNT_MS;) {
    for (const untilMs = performance.now() + 5; performance.now() < untilMs;);
    const { user, system } = process.cpuUsage(begun);
    spentMs = (user + system) / 1_000;
  }
}

describe('what processes need', () => {
  it('is the CPU from the first look to the last, of each and of all together', () => {
    const processes: NamedProcess[] = [{ name: 'node 1', pid: process.pid }];
    const watch = new ProcessWatch(() => processes);
    watch.start();
    burn();
    // One that begins later counts from when it is seen.
    processes.push({ name: 'maintenance', pid: process.pid });
    watch.stop();
    burn();
    watch.stop();
    const figures = watch.cpuMsPer('MB', 2);
    expect(Object.keys(figures)).toEqual([
      'node1CpuMsPerMB',
      'maintenanceCpuMsPerMB',
      'cpuMsPerMB',
    ]);
    expect(figures['maintenanceCpuMsPerMB']).toBe(0);
    expect(figures['node1CpuMsPerMB']).toBeGreaterThan(0);
    expect(figures['node1CpuMsPerMB']).toBeLessThan(BURNT_MS);
    expect(figures['cpuMsPerMB']).toBe(figures['node1CpuMsPerMB']);
  });

  it('is the largest memory over what there was at first', () => {
    const watch = new ProcessWatch(() => [{ name: 'node 1', pid: process.pid }]);
    watch.start();
    const kept = Buffer.alloc(64 * 1024 * 1024, 1);
    watch.stop();
    expect(kept.length).toBeGreaterThan(0);
    expect(watch.growthMiB()['node1RssGrowthMiB']).toBeGreaterThan(32);
  });
});
