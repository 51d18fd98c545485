/**
 * What processes need while something is done: memory beyond what they had, and CPU.
 *
 * In: the processes, asked for again and again, since some begin later. Out: the largest resident set
 * over the first one that was seen, and CPU seconds from the first look to the last, as figures. Looks
 * at `/proc` only, so what is watched does not notice.
 */
import { cpuSeconds, memoryMiB } from '@flotilla/e2e/figures';
import { fieldOf, type Figures } from '../replication/replication-report.js';

const SAMPLE_MS = 100;

/** A process that is measured. */
export interface NamedProcess {
  readonly name: string;
  readonly pid: number;
}

interface Seen {
  readonly firstMiB: number;
  readonly firstCpuSeconds: number;
  peakMiB: number;
  cpuSeconds: number;
}

export class ProcessWatch {
  private readonly seen = new Map<string, Seen>();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly processes: () => readonly NamedProcess[]) {}

  start(): void {
    this.look();
    this.timer = setInterval(() => this.look(), SAMPLE_MS);
  }

  /** Idempotent. */
  stop(): void {
    if (!this.timer) return;
    clearInterval(this.timer);
    this.timer = undefined;
    this.look();
  }

  growthMiB(): Figures {
    return this.figures('RssGrowthMiB', ({ peakMiB, firstMiB }) => peakMiB - firstMiB);
  }

  /** Milliseconds of each process for each of so many units, and of all of them together. */
  cpuMsPer(unit: string, units: number): Figures {
    const spent = (each: Seen) => ((each.cpuSeconds - each.firstCpuSeconds) * 1_000) / units;
    const all = [...this.seen.values()].reduce((sum, each) => sum + spent(each), 0);
    return { ...this.figures(`CpuMsPer${unit}`, spent), [`cpuMsPer${unit}`]: all };
  }

  private figures(ending: string, of: (each: Seen) => number): Figures {
    const entries = Array.from(this.seen, ([name, each]) => [
      `${fieldOf(name)}${ending}`,
      of(each),
    ]);
    return Object.fromEntries(entries) as Figures;
  }

  private look(): void {
    for (const { name, pid } of this.processes()) {
      const { now } = memoryMiB(pid);
      const cpu = cpuSeconds(pid);
      const before = this.seen.get(name);
      if (before) {
        before.peakMiB = Math.max(before.peakMiB, now);
        before.cpuSeconds = cpu;
      } else {
        const first = { firstMiB: now, firstCpuSeconds: cpu };
        this.seen.set(name, { ...first, peakMiB: now, cpuSeconds: cpu });
      }
    }
  }
}
