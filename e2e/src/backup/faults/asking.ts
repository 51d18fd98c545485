/**
 * Work that is interrupted, and asked for again until it is done.
 *
 * In: work, what is to be killed under it and when. Out: its outcome, and how it went. A refusal that nothing
 * explains is thrown; so is work that does not come to its end although all is well again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type BackupSite } from './backup-site.js';
import { CallFailure } from './backup-calls.js';
import { type RoundPlan, type Work } from './schedule.js';

const ASKING_MS = 300_000;
const PAUSE_MS = 500;
/** Behind the first sign of progress. */
const SOON_MS = 60;
/** Before any such work was done. */
const TYPICAL_MS: Readonly<Record<Work, number>> = {
  full: 500,
  incremental: 300,
  prune: 80,
  restore: 300,
  'restore-in-place': 500,
};

/** Calls what it is given whenever it gets on. */
export type Doing<T> = (onProgress: () => void) => Promise<T>;

export interface Asked<T> {
  /** Undefined if it was given up. */
  readonly outcome: T | undefined;
  readonly wasInterrupted: boolean;
  readonly isGivenUp?: boolean;
  readonly asked: number;
  readonly text: string;
}

export class Asking {
  private readonly typicalMs = new Map<Work, number>();

  constructor(private readonly site: BackupSite) {}

  async until<T>(plan: RoundPlan, mayGiveUp: boolean, work: Doing<T>): Promise<Asked<T>> {
    const beganMs = performance.now();
    const { first, text, wasRunning } = await this.disturbed(plan, work);
    if ('outcome' in first) {
      if (!wasRunning) this.typicalMs.set(plan.work, first.tookMs);
      return { outcome: first.outcome, wasInterrupted: wasRunning, asked: 1, text };
    }
    const told = `${text}: ${first.failure.code}`;
    if (mayGiveUp && plan.isGivenUp) {
      const given = { outcome: undefined, wasInterrupted: true, isGivenUp: true, asked: 1 };
      return { ...given, text: `${told}, given up` };
    }
    for (let asked = 2; ; asked++) {
      const again = await tried(() => work(() => undefined));
      if ('outcome' in again) {
        const done = `${told}, done when asked again (${asked - 1})`;
        return { outcome: again.outcome, wasInterrupted: true, asked, text: done };
      }
      if (performance.now() - beganMs > ASKING_MS) throw again.failure;
      await sleep(PAUSE_MS);
    }
  }

  private async disturbed<T>(plan: RoundPlan, work: Doing<T>) {
    const { victim, nth, downMs } = plan;
    const beganMs = performance.now();
    let isRunning = true;
    let getsOn: () => void = () => undefined;
    const progress = new Promise<void>((resolve) => (getsOn = resolve));
    const running = tried(() => work(getsOn)).finally(() => (isRunning = false));
    if (!victim) return { first: await running, text: 'undisturbed', wasRunning: false };
    if (plan.isUnderWay) await Promise.race([progress, running]);
    await sleep(plan.at * (plan.isUnderWay ? SOON_MS : this.timeOf(plan.work)));
    const wasRunning = isRunning;
    const killedMs = performance.now() - beganMs;
    await this.site.kill(victim, nth);
    await sleep(downMs);
    await this.site.startAgain(victim, nth);
    const text = `${victim} killed after ${killedMs.toFixed(0)} ms${wasRunning ? '' : ', too late'}`;
    return { first: await running, text, wasRunning };
  }

  private timeOf(work: Work): number {
    return this.typicalMs.get(work) ?? TYPICAL_MS[work];
  }
}

type Outcome<T> =
  { readonly outcome: T; readonly tookMs: number } | { readonly failure: CallFailure };

/** Throws what is no interruption. */
async function tried<T>(work: () => Promise<T>): Promise<Outcome<T>> {
  const beganMs = performance.now();
  try {
    return { outcome: await work(), tookMs: performance.now() - beganMs };
  } catch (failure) {
    if (failure instanceof CallFailure && failure.retryable) return { failure };
    throw failure;
  }
}
