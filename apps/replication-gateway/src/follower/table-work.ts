/**
 * What a gateway does for one table while it has the lease of its copy.
 *
 *   pulling --log cut, other table or history, wanted anew--> waiting for a place --> recovering --> pulling
 *      |                                                                   `--failed--> pause     the new copy
 *      `--lease over, stop--> over
 *
 * In: a lease. Out: a promise that settles when there is nothing more to do under it, or any that
 * came of it. It never rejects for what the clusters do.
 */
import { type Holding } from './holdings.js';
import { textOf } from './failure-kind.js';
import { type Copy, type CopySource } from './ports.js';
import { Puller, type PullerParts } from './puller.js';
import { type PullerEnd, type PullerState } from './puller-machine.js';
import { isSame, type Recovery } from './recovery.js';
import { type RecoverySlots } from './recovery-slots.js';

export const WORK_STATES = ['awaiting-recovery', 'recovering', 'over'] as const;
export type WorkState = PullerState | (typeof WORK_STATES)[number];

export interface WorkParts extends PullerParts {
  readonly startRecovery: (holding: Holding, isDiverged: boolean) => Recovery;
  /** What a copy is to be a copy of; undefined while that is not known for certain. */
  readonly expectedOf: (copy: Copy) => CopySource | undefined;
  readonly slots: RecoverySlots;
  readonly snapshotEnded: (table: string, outcome: 'done' | 'failed') => void;
}

const RECOVERY_PAUSE_MS = 500;
const RECOVERY_PAUSE_MS_MAX = 15_000;

export class TableWork {
  readonly table: string;
  private now: Puller | Recovery | undefined;
  private waitsForSlot = false;
  private isStopped = false;
  /** Id of the copy that is wanted anew. */
  private unwanted: number | undefined;
  private lease: Holding;

  constructor(
    private readonly parts: WorkParts,
    holding: Holding,
  ) {
    this.lease = holding;
    this.table = holding.copy.table;
  }

  /** The lease that it works under now. */
  get holding(): Holding {
    return this.now instanceof Puller ? this.lease : (this.now?.holding ?? this.lease);
  }

  get state(): WorkState {
    if (this.waitsForSlot) return 'awaiting-recovery';
    if (this.now === undefined) return 'over';
    return this.now instanceof Puller ? this.now.machine.state : 'recovering';
  }

  /** A copy that is being replaced must not be given to others in between. */
  get isPinned(): boolean {
    return !(this.now instanceof Puller);
  }

  isIdleSince(ms: number): boolean {
    return this.now instanceof Puller && this.now.lastActiveMs <= ms;
  }

  /** The tables of the leader cluster are not what they were. */
  compare(): void {
    if (this.now instanceof Puller && this.isToBeReplaced) this.now.resynchronise();
  }

  /** A copy is wanted anew. Of another one than it has by now, that is done. */
  renew(copyId: number): void {
    this.unwanted = copyId;
    this.compare();
  }

  /** What it does ends, and what it would do next. */
  stop(): void {
    this.isStopped = true;
    this.holding.end();
  }

  async run(): Promise<void> {
    let reason: PullerEnd | undefined;
    for (;;) {
      if (needsSnapshot(reason) || this.isToBeReplaced) {
        const next = await this.recover(reason === 'diverged');
        if (!next) break;
        this.lease = next;
        if (this.isStopped) next.end();
      }
      const puller = new Puller(this.parts, this.lease);
      this.now = puller;
      reason = await puller.run();
      if (needsSnapshot(reason)) continue;
      const { copy } = this.lease;
      this.parts.logger.info(
        { table: this.table, copy: copy.id, reason },
        'not pulled here any more',
      );
      this.lease.end();
      break;
    }
    this.parts.board.forget(this.lease.copy.id);
    this.now = undefined;
  }

  private get isToBeReplaced(): boolean {
    const { copy } = this.lease;
    if (copy.id === this.unwanted) return true;
    const expected = this.parts.expectedOf(copy);
    return expected !== undefined && !isSame(expected, copy.source);
  }

  private async recover(isDiverged: boolean): Promise<Holding | undefined> {
    const { clock, logger, slots, startRecovery, board } = this.parts;
    const recovery = startRecovery(this.lease, isDiverged);
    this.now = recovery;
    this.waitsForSlot = true;
    const leave = await slots.take(this.lease.signal);
    this.waitsForSlot = false;
    if (!leave) return undefined;
    const { table } = this;
    try {
      const isWanted = this.lease.copy.id === this.unwanted;
      const why = isWanted ? 'it is wanted anew' : 'the log cannot be gone on with';
      logger.info({ table }, `${why}: the copy is made anew`);
      for (let pauseMs = RECOVERY_PAUSE_MS; ;) {
        const outcome = await this.attempt(recovery);
        if (outcome !== 'failed') return outcome;
        const { signal } = recovery.holding;
        if (!signal.aborted) await clock.sleep(pauseMs, signal);
        if (signal.aborted) return undefined;
        pauseMs = Math.min(pauseMs * 2, RECOVERY_PAUSE_MS_MAX);
      }
    } finally {
      board.forget(this.lease.copy.id);
      leave();
    }
  }

  private async attempt(recovery: Recovery): Promise<Holding | undefined | 'failed'> {
    const { clock, events, logger, snapshotEnded } = this.parts;
    const { table } = this;
    const sinceMs = clock.nowMs();
    try {
      const next = await recovery.run();
      const tookMs = Math.round(clock.nowMs() - sinceMs);
      if (!next) logger.info({ table, tookMs }, 'another gateway has the table');
      else {
        logger.info({ table, copy: next.copy.id, tookMs }, 'a copy was made anew');
        snapshotEnded(table, 'done');
      }
      return next;
    } catch (error) {
      if (recovery.holding.signal.aborted) return undefined;
      snapshotEnded(table, 'failed');
      events.failed(table, 'snapshot-failed');
      logger.warn({ table, reason: textOf(error) }, 'a copy could not be made anew');
      if (!(await this.isReplaced(recovery.holding.copy))) return 'failed';
      logger.info({ table }, 'the name means another copy here by now');
      recovery.holding.end();
      return undefined;
    }
  }

  /** Nothing can take the place of a copy that its name does not mean any more. */
  private async isReplaced({ table, id }: Copy): Promise<boolean> {
    try {
      const { copies } = await this.parts.own.list();
      return copies.some((one) => one.table === table && one.id !== id);
    } catch (error) {
      // The next attempt asks again.
      this.parts.logger.warn({ table, reason: textOf(error) }, 'no node tells which copy there is');
      return false;
    }
  }
}

function needsSnapshot(reason: PullerEnd | undefined): boolean {
  return reason === 'use-snapshot' || reason === 'diverged';
}
