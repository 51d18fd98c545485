/**
 * Tells the nodes of this cluster where the leader cluster stands and how its tables are pulled, for
 * readers that ask how far behind they are, and for people.
 *
 *   board: positions heard since the last report  --.
 *   works: state, failure, bytes of each table    --+--> one report, at most every 250 ms
 *
 * What a table's puller does is told when it changes, and again every few seconds, because nodes
 * forget it; figures that grow all the time are told once a second. A report that fails is not sent
 * again: the next one says more.
 */
import { type applyV1 } from '@flotilla/proto';
import { type Logger } from '@flotilla/platform';
import { type GatewayClock } from '../gateway-clock.js';
import { textOf } from './failure-kind.js';
import { type OwnCluster, type Position } from './ports.js';
import { type PositionBoard } from './position-board.js';
import { type PullTally, type Tally } from './pull-tally.js';

const REPORT_EVERY_MS = 250;
/** Well within the time that nodes keep what they were told. */
const RENEW_EVERY_MS = 5_000;
const FIGURES_EVERY_MS = 1_000;
/** Tables whose pullers are told of in one report; the others come with the next ones. */
const PULLERS_PER_REPORT_MAX = 10_000;
/** In these states nothing is wrong, whatever was before. */
const HEALTHY: readonly string[] = ['pulling', 'waiting'];

/** How a table is pulled. */
export interface PullerTold extends Tally {
  readonly gateway: string;
  readonly state: string;
  readonly copyIndex: number;
}

/** A position with what its puller does. */
export interface ReportedPosition extends Position {
  readonly puller?: PullerTold;
}

/** A table that this gateway works on. */
export interface ReportedWork {
  readonly table: string;
  readonly state: string;
  readonly holding: { readonly copy: { readonly id: number } };
}

/** What makes reports tell of pullers too. */
export interface ReportedWorks {
  readonly gateway: string;
  readonly all: () => readonly ReportedWork[];
  readonly tally: Pick<PullTally, 'of' | 'keepOnly'>;
}

type Board = Pick<PositionBoard, 'takeReport'> & Partial<Pick<PositionBoard, 'lags'>>;
type Clock = Pick<GatewayClock, 'sleep'> & Partial<Pick<GatewayClock, 'nowMs'>>;

export class PositionReporter {
  private readonly stopping = new AbortController();
  private readonly told = new Map<number, { puller: PullerTold; atMs: number }>();
  private running: Promise<void> | undefined;

  constructor(
    private readonly board: Board,
    private readonly own: Pick<OwnCluster, 'report'>,
    private readonly clock: Clock,
    private readonly logger: Pick<Logger, 'debug'>,
    private readonly works?: ReportedWorks,
  ) {}

  start(): void {
    this.running ??= this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  /** What is to be told now: positions that were heard, and pullers that are due. */
  take(): ReportedPosition[] {
    const positions = new Map<number, ReportedPosition>();
    for (const position of this.board.takeReport()) positions.set(position.copyId, position);
    for (const [copyId, puller] of this.duePullers()) {
      const position = positions.get(copyId) ?? { copyId, leaderIndex: 0, clockMs: 0 };
      positions.set(copyId, { ...position, puller });
    }
    return [...positions.values()];
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      const positions = this.take();
      try {
        if (positions.length > 0) await this.own.report(positions);
      } catch (error) {
        this.logger.debug({ reason: textOf(error) }, 'positions could not be reported');
      }
      await this.clock.sleep(REPORT_EVERY_MS, signal);
    }
  }

  private duePullers(): [number, PullerTold][] {
    const { works, told } = this;
    if (!works) return [];
    const nowMs = this.clock.nowMs?.() ?? 0;
    const all = works.all();
    works.tally.keepOnly(new Set(all.map(({ table }) => table)));
    const copyIds = new Set(all.map(({ holding }) => holding.copy.id));
    for (const copyId of told.keys()) if (!copyIds.has(copyId)) told.delete(copyId);
    const indexes = new Map(
      this.board.lags?.(nowMs).map(({ table, copyIndex }) => [table, copyIndex]),
    );
    const due: [number, PullerTold][] = [];
    for (const { table, state, holding } of all) {
      if (due.length >= PULLERS_PER_REPORT_MAX) break;
      const copyId = holding.copy.id;
      const puller = this.describe(works, table, state, indexes.get(table) ?? 0);
      const before = told.get(copyId);
      if (before && nowMs - before.atMs < intervalMs(before.puller, puller)) continue;
      told.set(copyId, { puller, atMs: nowMs });
      due.push([copyId, puller]);
    }
    return due;
  }

  private describe(
    { gateway, tally }: ReportedWorks,
    table: string,
    state: string,
    copyIndex: number,
  ): PullerTold {
    const { lastError, ...bytes } = tally.of(table);
    const isHealthy = HEALTHY.includes(state);
    return { ...bytes, gateway, state, copyIndex, lastError: isHealthy ? '' : lastError };
  }
}

/** Between telling the one and telling the other. */
function intervalMs(before: PullerTold, now: PullerTold): number {
  if (phase(before) !== phase(now) || before.lastError !== now.lastError) return 0;
  const isSame =
    before.copyIndex === now.copyIndex &&
    before.receivedBytes === now.receivedBytes &&
    before.snapshotBytes === now.snapshotBytes;
  return isSame ? RENEW_EVERY_MS : FIGURES_EVERY_MS;
}

/** A table that is polled goes from one healthy state to another many times a second. */
function phase({ state }: PullerTold): string {
  return HEALTHY.includes(state) ? 'healthy' : state;
}

/** A position as the nodes of this cluster read it. */
export function positionOnWire(position: ReportedPosition): applyV1.ReplicaPosition {
  const { copyId, leaderIndex, clockMs, puller } = position;
  return {
    tableId: BigInt(copyId),
    leaderIndex: BigInt(leaderIndex),
    leaderClockMs: BigInt(Math.floor(clockMs)),
    ...(puller && { puller: pullerOnWire(puller) }),
  };
}

function pullerOnWire(puller: PullerTold): applyV1.PullerReport {
  const { gateway, state, lastError } = puller;
  return {
    gateway,
    state,
    lastError,
    copyIndex: BigInt(puller.copyIndex),
    snapshotBytes: BigInt(puller.snapshotBytes),
    snapshotBytesTotal: 0n,
    receivedBytes: BigInt(puller.receivedBytes),
  };
}
