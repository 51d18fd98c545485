/**
 * Log shipping, as the app runs it: what the library does, told to operators.
 *
 * In: the shipper's word of what happens. Out: lines in the log, figures for the metrics. What goes on for long
 * is told at intervals, not every time; keys and values are never told.
 */
import {
  LogShipper,
  type LogShipperParts,
  type ShipEvent,
  type SourceTable,
} from '@flotilla/backup';
import { type Logger } from '@flotilla/platform';
import { type MaintenanceClock } from '../maintenance-clock.js';

/** The same failure of the same table is told no more often than that. */
const TOLD_EVERY_MS = 30_000;
/** Tables whose last failure is remembered; beyond it all of them are told at one pace. */
const FAILED_TABLES_MAX = 1_000;

export interface LogShippingParts extends Omit<LogShipperParts, 'onEvent'> {
  readonly timer: Pick<MaintenanceClock, 'nowMs'>;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  /** Told of each gap: another backup is needed. */
  readonly onGap?: (() => void) | undefined;
}

/** What was counted since the start. */
export interface LogShippingFigures {
  readonly storedBytes: number;
  readonly storedObjects: number;
  readonly errors: number;
  readonly gaps: number;
  readonly heldBytes: number;
  readonly streams: number;
  readonly isShipping: boolean;
  /** Age of the oldest entry that is not stored; 0 if there is none. */
  readonly lagMs: number;
  readonly tables: readonly { readonly name: string; readonly revision: number }[];
}

export class LogShipping {
  /** While logs are shipped by this app. */
  private shipper: LogShipper | undefined;
  private readonly ends = new Set<Promise<void>>();
  private readonly toldAtMs = new Map<string, number>();
  private storedBytes = 0;
  private storedObjects = 0;
  private errors = 0;
  private gaps = 0;

  constructor(private readonly parts: LogShippingParts) {}

  /** Idempotent. */
  start(): void {
    if (this.shipper) return;
    const { intervalMs, logger } = this.parts;
    logger.info({ intervalMs }, 'logs are shipped');
    const onEvent = (table: SourceTable | undefined, event: ShipEvent) => this.on(table, event);
    this.shipper = new LogShipper({ ...this.parts, onEvent });
    this.shipper.start();
  }

  /** What was read is stored within the grace. It may be started again, also before this settles. */
  async stop(graceMs: number): Promise<void> {
    const { shipper, ends } = this;
    this.shipper = undefined;
    if (shipper) {
      const end = shipper.stop(graceMs).finally(() => ends.delete(end));
      ends.add(end);
    }
    await Promise.all(ends);
  }

  figures(): LogShippingFigures {
    const { shipper, storedBytes, storedObjects, errors, gaps } = this;
    const shippers = shipper?.tables() ?? [];
    const oldestAtMs = shippers.reduce(
      (least, each) => Math.min(least, each.oldestAtMs ?? Infinity),
      Infinity,
    );
    const lagMs = oldestAtMs === Infinity ? 0 : this.parts.clock.wallMs() - oldestAtMs;
    return {
      storedBytes,
      storedObjects,
      errors,
      gaps,
      heldBytes: shipper?.heldBytes ?? 0,
      streams: shipper?.openStreams ?? 0,
      isShipping: shipper !== undefined,
      lagMs: Math.max(0, lagMs),
      tables: shippers.map(({ table: { name }, storedRevision: revision }) => ({ name, revision })),
    };
  }

  private on(table: SourceTable | undefined, event: ShipEvent): void {
    const { logger } = this.parts;
    const name = table?.name;
    switch (event.kind) {
      case 'stored':
        this.storedBytes += event.bytes;
        this.storedObjects++;
        break;
      case 'gap': {
        this.gaps++;
        const { first, last } = event;
        const text =
          'revisions were compacted before they were shipped: an incremental backup is needed';
        logger.warn({ table: name, first, last }, text);
        this.parts.onGap?.();
        break;
      }
      case 'begins': {
        const { first } = event;
        const text =
          'the log of a table does not begin with it: restores to a revision need a backup';
        logger.info({ table: name, first }, text);
        break;
      }
      case 'failed':
        this.errors++;
        this.tellFailure(name ?? '', event.error);
    }
  }

  private tellFailure(table: string, error: unknown): void {
    const nowMs = this.parts.timer.nowMs();
    const about = this.toldAtMs.size < FAILED_TABLES_MAX || this.toldAtMs.has(table) ? table : '';
    if (nowMs - (this.toldAtMs.get(about) ?? -TOLD_EVERY_MS) < TOLD_EVERY_MS) return;
    this.toldAtMs.set(about, nowMs);
    const reason = error instanceof Error ? error.message : String(error);
    this.parts.logger.warn({ table, reason }, 'a log could not be shipped, and is tried again');
  }
}
