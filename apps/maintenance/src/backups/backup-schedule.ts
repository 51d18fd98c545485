/**
 * What is done by itself: backups, the prune after each of them, restore drills.
 *
 * In: cron expressions in UTC. Out: calls of the engine, metrics, lines in the log. What is due while
 * something else is at work is left out and counted; a failure is told and waits for the next time.
 */
import {
  BackupError,
  CHAIN_MAX,
  isBackupError,
  type Manifest,
  type RetentionRules,
} from '@flotilla/backup';
import { type Logger } from '@flotilla/platform';
import { Cron } from 'croner';
import { type ScheduleConfig } from '../config/maintenance-config.js';
import { type MaintenanceClock } from '../maintenance-clock.js';
import { type BackupEngine } from './backup-engine.js';
import { type BackupMetrics, type Work } from './backup-metrics.js';

export interface ScheduleParts {
  readonly engine: BackupEngine;
  readonly config: ScheduleConfig;
  readonly rules: RetentionRules;
  readonly metrics: BackupMetrics;
  readonly clock: MaintenanceClock;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
}

export class BackupSchedule {
  private readonly jobs: Cron[] = [];
  private readonly stopping = new AbortController();
  private running: Promise<void> = Promise.resolve();
  private waiting = 0;

  constructor(private readonly parts: ScheduleParts) {}

  /** Also looks which backup is the newest one: its age is told from the beginning on. */
  start(): void {
    const { full, incremental, drill } = this.parts.config;
    this.at(full, () => this.backup('full'));
    this.at(incremental, () => this.backup('incremental'));
    this.at(drill, () => this.drill());
    this.enqueue(() => this.look());
  }

  /** Ends what is at work; the next run goes on with it. */
  async stop(): Promise<void> {
    this.stopping.abort();
    for (const job of this.jobs) job.stop();
    await this.running;
  }

  /** What the schedule does when a backup is due. */
  async backup(kind: 'full' | 'incremental'): Promise<void> {
    const { engine, rules } = this.parts;
    const { signal } = this.stopping;
    await this.work(kind, async () => {
      const chosen = kind === 'full' ? 'full' : await this.kindThatCan(signal);
      const wish = { kind: chosen, tables: [], parent: '' };
      await engine.create(wish, signal, () => undefined);
    });
    await this.work('prune', async () => {
      const { decisions, deletedObjects } = await engine.prune(rules, false, signal);
      const deleted = decisions.filter(({ keep }) => !keep).map(({ id }) => id);
      if (deleted.length > 0) this.parts.logger.info({ deleted, deletedObjects }, 'pruned');
    });
  }

  async drill(): Promise<void> {
    await this.work('drill', async () => {
      const rows = await this.parts.engine.drill(this.stopping.signal);
      this.parts.logger.info({ rows }, 'the newest backup was restored out of sight');
    });
  }

  /** A full one where there is nothing to add to, or where a chain would grow too long. */
  private async kindThatCan(signal: AbortSignal): Promise<'full' | 'incremental'> {
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

  private async look(): Promise<void> {
    const { engine, metrics, logger } = this.parts;
    try {
      metrics.good(await engine.find('', this.stopping.signal));
    } catch (error) {
      logger.info({ reason: reasonOf(error) }, 'no newest backup is known');
    }
  }

  private async work(work: Work, run: () => Promise<void>): Promise<void> {
    const { clock, metrics, logger } = this.parts;
    const startedMs = clock.nowMs();
    const ended = (outcome: 'done' | 'failed' | 'skipped') =>
      metrics.ended(work, outcome, clock.nowMs() - startedMs, clock.wallMs());
    try {
      await run();
      ended('done');
      logger.info({ work, durationMs: clock.nowMs() - startedMs }, 'done by the schedule');
    } catch (error) {
      if (this.stopping.signal.aborted) return;
      const isBusy = error instanceof BackupError && error.code === 'RUN_BUSY';
      ended(isBusy ? 'skipped' : 'failed');
      logger.error({ work, reason: reasonOf(error) }, 'the schedule could not do what was due');
    }
  }

  private at(expression: string, run: () => Promise<void>): void {
    if (expression === '') return;
    const options = { timezone: 'UTC', protect: true };
    this.jobs.push(new Cron(expression, options, () => this.enqueue(run)));
  }

  /** One after the other: what two expressions make due at once is all done. */
  private enqueue(run: () => Promise<void>): void {
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

/** Runs that may be due at a time. */
const WAITING_MAX = 4;

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
