/**
 * What is done by itself: backups, the prune after each of them, restore drills.
 *
 *   due --> this app has the turn? --> no:  remembered, for when it gets it
 *                                      yes: done, under the fencing token of the turn
 *   a log has a gap --> an incremental backup soon, by the app that ships it, whoever has the turn
 *
 * In: cron expressions in UTC, turns. Out: calls of the engine, metrics, lines in the log. What is due while
 * something else is at work is left out and counted; a failure is told and waits for the next time. A turn
 * that ends ends what is at work.
 */
import {
  type BackupKind,
  CHAIN_MAX,
  isBackupError,
  type Manifest,
  type RetentionRules,
  type RunFence,
} from '@flotilla/backup';
import { type Logger } from '@flotilla/platform';
import { Cron } from 'croner';
import { type ScheduleConfig } from '../config/maintenance-config.js';
import { type MaintenanceClock } from '../maintenance-clock.js';
import { type RunnerTurn, type Turns } from '../runner/runner-lease.js';
import { type BackupEngine } from './backup-engine.js';
import { type BackupMetrics, type Work } from './backup-metrics.js';
import { leftWork, type Missed } from './left-work.js';

export interface ScheduleParts {
  readonly engine: BackupEngine;
  readonly config: ScheduleConfig;
  readonly rules: RetentionRules;
  readonly turns: Turns;
  readonly metrics: BackupMetrics;
  readonly clock: MaintenanceClock;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
}

/** What one piece of work is given: when it has to end, and what to commit under. */
interface Run {
  readonly signal: AbortSignal;
  readonly fence: RunFence | undefined;
}

/** Runs that may be due at a time. */
const WAITING_MAX = 4;
/** After a gap in a log: those of other tables, which are told in the same moments, need no other backup. */
const GAP_DELAY_MS = 60_000;
/** Between two such backups, and before one is tried again that could not be made. */
const GAP_AGAIN_MS = 600_000;
/** Other apps make backups too: the newest one is looked for again. */
const LOOK_MS = 600_000;

export class BackupSchedule {
  private readonly jobs: Cron[] = [];
  private readonly stopping = new AbortController();
  private running: Promise<void> = Promise.resolve();
  private looking: Promise<void> = Promise.resolve();
  private closing: Promise<void> = Promise.resolve();
  private isGapDue = false;
  private isClosing = false;
  private waiting = 0;
  private missed: Missed | undefined;
  private fenced: { readonly turn: RunnerTurn; readonly fence: RunFence } | undefined;
  private forget: () => void = () => undefined;

  constructor(private readonly parts: ScheduleParts) {}

  /** Also looks which backup is the newest one: its age is told from the beginning on. */
  start(): void {
    const { config, turns } = this.parts;
    this.at(config.full, () => this.due('full'));
    this.at(config.incremental, () => this.due('incremental'));
    this.at(config.drill, () => this.enqueue(() => this.drill()));
    this.looking = this.keepLooking();
    this.forget = turns.onChange((turn) => {
      if (turn) this.enqueue(() => this.takeOver(turn));
    });
    const { turn } = turns;
    if (turn) this.enqueue(() => this.takeOver(turn));
  }

  /** Ends what is at work; the next run goes on with it. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.forget();
    for (const job of this.jobs) job.stop();
    await Promise.all([this.running, this.looking, this.closing]);
  }

  /** What is done when a backup is due. */
  due(kind: BackupKind): void {
    const { turns, clock } = this.parts;
    if (turns.turn) this.enqueue(() => this.backup(kind));
    else this.missed = { kind, atMs: clock.wallMs() };
  }

  /** What was written before can be restored to again only behind another backup. Once for many of them. */
  gap(): void {
    const { full, incremental } = this.parts.config;
    if (full === '' && incremental === '') return;
    this.isGapDue = true;
    if (!this.isClosing) this.closing = this.closeGaps();
  }

  /** Whether it was made. */
  async backup(kind: BackupKind): Promise<boolean> {
    const { engine, rules } = this.parts;
    const isMade = await this.work(kind, (run) => this.create(kind, run));
    await this.work('prune', async ({ signal, fence }) => {
      const { decisions, deletedObjects } = await engine.prune(rules, false, signal, fence);
      const deleted = decisions.filter(({ keep }) => !keep).map(({ id }) => id);
      if (deleted.length > 0) this.parts.logger.info({ deleted, deletedObjects }, 'pruned');
    });
    return isMade;
  }

  async drill(): Promise<void> {
    await this.work('drill', async ({ signal }) => {
      const rows = await this.parts.engine.drill(signal);
      this.parts.logger.info({ rows }, 'the newest backup was restored out of sight');
    });
  }

  /** Until there is a backup behind the last gap that was told; one at a time, and not all the time. */
  private async closeGaps(): Promise<void> {
    const { signal } = this.stopping;
    this.isClosing = true;
    let delayMs = GAP_DELAY_MS;
    while (this.isGapDue) {
      await this.parts.clock.sleep(delayMs, signal);
      if (signal.aborted) return;
      // What is told while it is made may lie behind what it reads.
      this.enqueue(async () => {
        this.isGapDue = false;
        this.isGapDue = !(await this.backupBehindGap(signal)) || this.isGapDue;
      });
      await this.running;
      delayMs = GAP_AGAIN_MS;
    }
    this.isClosing = false;
  }

  /** As one that is asked for by hand where another app has the turn: that one may ship nothing. */
  private async backupBehindGap(signal: AbortSignal): Promise<boolean> {
    if (this.parts.turns.turn) return this.backup('incremental');
    const run = { signal, fence: undefined };
    return this.counted('incremental', signal, () => this.create('incremental', run));
  }

  private async create(kind: BackupKind, { signal, fence }: Run): Promise<void> {
    const chosen = kind === 'full' ? 'full' : await this.kindThatCan(signal);
    const wish = { kind: chosen, tables: [], parent: '' };
    await this.parts.engine.create(wish, signal, () => undefined, fence);
  }

  /** Goes on with what the runner before has left, or makes what was due while there was none. */
  private async takeOver(turn: RunnerTurn): Promise<void> {
    const { engine, clock, logger } = this.parts;
    const { missed } = this;
    this.missed = undefined;
    try {
      const signal = AbortSignal.any([this.stopping.signal, turn.signal]);
      const left = leftWork(await engine.list(signal), turn.token, missed, clock.wallMs());
      if (!left) return;
      logger.info({ kind: left }, 'a backup is made that the runner before has not');
      await this.backup(left);
    } catch (error) {
      logger.warn({ reason: reasonOf(error) }, 'what the runner before has left is not known');
    }
  }

  /** A full one where there is nothing to add to, or where a chain would grow too long. */
  private async kindThatCan(signal: AbortSignal): Promise<BackupKind> {
    let chain: readonly Manifest[] = [];
    try {
      chain = await this.parts.engine.chain('', signal);
    } catch (error) {
      if (!isBackupError(error, 'BACKUP_NOT_FOUND')) throw error;
    }
    if (chain.length > 0 && chain.length < CHAIN_MAX) return 'incremental';
    this.parts.logger.info({ chain: chain.length }, 'a full backup is due');
    return 'full';
  }

  private async keepLooking(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await this.look();
      await this.parts.clock.sleep(LOOK_MS, signal);
    }
  }

  private async look(): Promise<void> {
    const { engine, metrics, logger } = this.parts;
    const { newest } = metrics;
    try {
      const found = await engine.find('', this.stopping.signal);
      // One that was made meanwhile is newer than what was found.
      if (metrics.newest === newest) metrics.newest = found;
    } catch (error) {
      if (isBackupError(error, 'BACKUP_NOT_FOUND')) metrics.newest = undefined;
      logger.info({ reason: reasonOf(error) }, 'no newest backup is known');
    }
  }

  private async work(work: Work, run: (given: Run) => Promise<void>): Promise<boolean> {
    const { turn } = this.parts.turns;
    if (!turn) return false;
    const signal = AbortSignal.any([this.stopping.signal, turn.signal]);
    return this.counted(work, signal, async () => {
      await run({ signal, fence: await this.fenceOf(turn, signal) });
    });
  }

  /** Told as what the schedule does, however it ends; whether it was done. */
  private async counted(
    work: Work,
    signal: AbortSignal,
    run: () => Promise<void>,
  ): Promise<boolean> {
    const { clock, metrics, logger } = this.parts;
    const startedMs = clock.nowMs();
    const ended = (outcome: 'done' | 'failed' | 'skipped') =>
      metrics.ended(work, outcome, clock.nowMs() - startedMs, clock.wallMs());
    try {
      await run();
      ended('done');
      logger.info({ work, durationMs: clock.nowMs() - startedMs }, 'done by the schedule');
      return true;
    } catch (error) {
      if (this.stopping.signal.aborted) return false;
      const isLeft = signal.aborted || isBackupError(error, 'RUN_BUSY', 'RUN_FENCED');
      ended(isLeft ? 'skipped' : 'failed');
      logger.error({ work, reason: reasonOf(error) }, 'the schedule could not do what was due');
      return false;
    }
  }

  /** Raised once a turn; none where the nodes know no leases. */
  private async fenceOf(turn: RunnerTurn, signal: AbortSignal): Promise<RunFence | undefined> {
    const { token } = turn;
    if (token === undefined) return undefined;
    if (this.fenced?.turn === turn) return this.fenced.fence;
    const { engine, turns } = this.parts;
    const fence = await engine.fence(token, turns.holder, signal);
    this.fenced = { turn, fence };
    return fence;
  }

  private at(expression: string, run: () => void): void {
    if (expression === '') return;
    this.jobs.push(new Cron(expression, { timezone: 'UTC', protect: true }, run));
  }

  /** One after the other: what two expressions make due at once is all done. */
  private enqueue(run: () => Promise<unknown>): void {
    this.waiting++;
    if (this.waiting > WAITING_MAX) {
      this.waiting--;
      this.parts.logger.warn({}, 'the schedule asks for more than can be done');
      return;
    }
    this.running = this.running.then(async () => {
      if (!this.stopping.signal.aborted) await run();
      this.waiting--;
    });
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
