/**
 * Recovery of a copy that cannot be pulled on: a table beside it is filled from a snapshot, out of
 * sight, and takes its name over once it is complete.
 *
 *   Begin --BEGUN, RESUMED--> snapshot --> Fill ... --> Complete --> lease of the new copy
 *     ^                          |
 *     `-----another attempt------'  goes on behind the last batch, where the leader cluster can
 *
 * The old copy is served until then. In: its lease, and what it is to be a copy of. Out: the lease
 * of the new copy, to pull on from the index that its rows stand for. In memory one piece of each
 * stream and one batch. What it must know after a break stands beside the rows, not here.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type Logger } from '@flotilla/platform';
import { type GatewayClock } from '../gateway-clock.js';
import { fillFromPairs } from './fill-from-pairs.js';
import { type FillParts, fillFromRows } from './fill-from-rows.js';
import { type Holding, type Holdings } from './holdings.js';
import { type Pace } from './pace.js';
import {
  type Copy,
  type CopyPosition,
  type CopySource,
  type LeaderCluster,
  type OwnCluster,
  type ShadowTables,
} from './ports.js';
import { LostShadowError, RecoveryContendedError, ShadowFill } from './shadow-fill.js';

export interface Recovery {
  /** The lease that it works under. */
  readonly holding: Holding;
  /** The lease of a copy to pull on; undefined if somebody else has it. May be tried again. */
  run(): Promise<Holding | undefined>;
}

export interface RecoveryParts {
  readonly leader: LeaderCluster;
  readonly own: OwnCluster;
  readonly shadows: ShadowTables;
  readonly holdings: Holdings;
  readonly clock: GatewayClock;
  /** Of all recoveries together. */
  readonly pace: Pace;
  readonly received: (table: string, bytes: number) => void;
  /** What a copy is to be a copy of now; undefined if the leader cluster does not name the table. */
  readonly targetOf: (copy: Copy) => CopySource | undefined;
  readonly logger: Pick<Logger, 'warn'>;
  /** A table that was filled from a part is not what the leader cluster has. */
  readonly diverged: (table: string) => void;
}

type Digests = Parameters<FillParts['differs']>[0];

/** Rows that come slowly are written that often, so that no more is lost if this gateway is. */
const KEEP_EVERY_MS = 1_000;

export class ShadowRecovery implements Recovery {
  constructor(
    private readonly parts: RecoveryParts,
    readonly holding: Holding,
    /** Nothing of the old copy is of use: it is of another history. */
    private readonly isDiverged = false,
  ) {}

  async run(): Promise<Holding | undefined> {
    const { copy, signal } = this.holding;
    const source = this.parts.targetOf(copy);
    if (!source) throw new RecoveryContendedError('the leader cluster does not name the table');
    const call = new AbortController();
    const abort = () => call.abort();
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    try {
      return await this.renew(source, call.signal);
    } catch (error) {
      if (!(error instanceof LostShadowError)) throw error;
      // Whoever goes on with the shadow has the table, or is about to.
      this.holding.end();
      return undefined;
    } finally {
      signal.removeEventListener('abort', abort);
      call.abort();
    }
  }

  private async renew(source: CopySource, signal: AbortSignal): Promise<Holding | undefined> {
    const { leader, own, shadows, clock } = this.parts;
    const { copy, token } = this.holding;
    const { table } = copy;
    const given = await leader.snapshot({ table, source }, signal);
    const fill = await ShadowFill.begin(shadows, { table, source }, signal);
    let keptAtMs = clock.nowMs();
    const received = async (bytes: number): Promise<void> => {
      await this.received(source, bytes);
      if (clock.nowMs() - keptAtMs < KEEP_EVERY_MS) return;
      await fill.flush();
      keptAtMs = clock.nowMs();
    };
    const parts = { fill, signal, received, differs: (it: Digests) => this.differs(it) };
    let position: CopyPosition;
    if (given.kind === 'pairs') position = await fillFromPairs(parts, given.open);
    else {
      position = await fillFromRows(parts, given.open, {
        // Only once nothing older can write any more it says what will not change meanwhile.
        position: async () => {
          const isOfNoUse = this.isDiverged || fill.shadow.renews === true;
          if (isOfNoUse || !isSame(copy.source, source)) return 0;
          const batch = { copy, token, commands: [] };
          const { outcome, leaderIndex } = await own.apply(batch, signal);
          if (outcome !== 'applied') throw new LostShadowError(`the old copy says ${outcome}`);
          return leaderIndex;
        },
        rows: (afterKey) => shadows.read(copy, afterKey, signal),
      });
    }
    this.checkTarget(source);
    return this.take(fill, source, position);
  }

  /** The new copy is what the name means, from the index that it stands for. */
  private async take(
    fill: ShadowFill,
    source: CopySource,
    position: CopyPosition,
  ): Promise<Holding | undefined> {
    const { holdings, own } = this.parts;
    const { copy } = this.holding;
    const { id } = fill.shadow;
    const isTaken = async () => (await own.list()).copies.some((one) => one.id === id);
    await fill.complete(copy.id, position, isTaken);
    const isOver = this.holding.signal.aborted;
    this.holding.end();
    const next = await holdings.take({ table: copy.table, id, source });
    // Whoever ended the one meant the other as well.
    if (isOver) next?.end();
    return next;
  }

  private differs(digests: Digests): void {
    const { logger, diverged } = this.parts;
    const { table } = this.holding.copy;
    const text = 'what changed does not make the copy what the leader cluster has: all is taken';
    logger.warn({ table, ...digests }, text);
    diverged(table);
  }

  private async received(source: CopySource, bytes: number): Promise<void> {
    const { clock, pace, received } = this.parts;
    const { copy, signal } = this.holding;
    received(copy.table, bytes);
    const pauseMs = pace.pauseMs(bytes, clock.nowMs());
    if (pauseMs > 0) await clock.sleep(pauseMs, signal);
    if (signal.aborted) throw new GrpcStatusError(status.CANCELLED, 'the lease is over');
    this.checkTarget(source);
  }

  private checkTarget(source: CopySource): void {
    const target = this.parts.targetOf(this.holding.copy);
    if (target && isSame(target, source)) return;
    throw new RecoveryContendedError('the name means another table in the leader cluster now');
  }
}

export function isSame(one: CopySource, other: CopySource): boolean {
  return one.tableId === other.tableId && one.epoch === other.epoch;
}
