/**
 * Watches how the disk of the Raft log gets along, and says so before anybody has to guess.
 *
 * In: what the log store counts. Out: lines in the log, and a call when a write does not end for long:
 * then others are to lead, because a leader acknowledges nothing that is not on its own disk. A write
 * that is late is never repeated and never given up: it ends, or the store fails.
 *
 *     steady --a write takes longer than stallMs--> stalled --it ends--> steady
 */
import { type Logger } from '@flotilla/platform';
import { type LogStoreStats } from '@flotilla/raft';
import { type Cancel, type NodeClock } from './node-clock.js';

export const DISK_LOOK_MS = 200;

export type WatchedStats = Pick<LogStoreStats, 'syncs' | 'isWriting' | 'aheadFailure'>;

export interface DiskWatchOptions {
  readonly directory: string;
  /** A write that takes so long counts as stalled. */
  readonly stallMs: number;
  readonly clock: Pick<NodeClock, 'nowMs' | 'every'>;
}

export class DiskWatch {
  private stopLooking: Cancel | undefined;
  private sinceMs: number;
  private syncs = -1;
  private stalled = false;
  private saidAhead: string | undefined;

  constructor(
    private readonly stats: () => WatchedStats,
    /** Told with every look while a write is stalled, and once with false when it ended. */
    private readonly onStalled: (isStalled: boolean) => void,
    private readonly options: DiskWatchOptions,
    private readonly logger: Logger,
  ) {
    this.sinceMs = options.clock.nowMs();
  }

  /** How long the write that is under way takes; undefined unless that is too long. */
  get stalledMs(): number | undefined {
    return this.stalled ? Math.round(this.options.clock.nowMs() - this.sinceMs) : undefined;
  }

  start(): void {
    this.stopLooking = this.options.clock.every(DISK_LOOK_MS, () => this.look());
  }

  /** Idempotent. */
  stop(): void {
    this.stopLooking?.();
  }

  look(): void {
    const { syncs, isWriting, aheadFailure } = this.stats();
    this.lookAhead(aheadFailure);
    const nowMs = this.options.clock.nowMs();
    if (!isWriting || syncs !== this.syncs) {
      this.end(nowMs);
      this.syncs = syncs;
      this.sinceMs = nowMs;
    } else if (nowMs - this.sinceMs >= this.options.stallMs) this.begin(nowMs);
  }

  private begin(nowMs: number): void {
    if (!this.stalled) {
      const { directory } = this.options;
      const fields = { directory, stalledMs: Math.round(nowMs - this.sinceMs) };
      const what = 'the disk does not finish a write of the raft log';
      this.logger.error(fields, `${what}: others may lead, nothing is acknowledged here`);
    }
    this.stalled = true;
    this.onStalled(true);
  }

  private end(nowMs: number): void {
    if (!this.stalled) return;
    const stalledMs = Math.round(nowMs - this.sinceMs);
    this.stalled = false;
    this.onStalled(false);
    const { directory } = this.options;
    this.logger.warn({ directory, stalledMs }, 'the disk has finished its write of the raft log');
  }

  private lookAhead(reason: string | undefined): void {
    if (reason !== undefined && reason !== this.saidAhead) {
      const { directory } = this.options;
      const what = 'there is no room for the next segment of the raft log: make room, or it ends';
      this.logger.error({ directory, reason }, what);
    }
    this.saidAhead = reason;
  }
}
