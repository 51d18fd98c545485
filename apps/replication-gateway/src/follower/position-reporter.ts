/**
 * Tells the nodes of this cluster where the leader cluster stands and how its tables are pulled, for
 * readers that ask how far behind they are, and for people.
 *
 *   board: positions that changed, clock of the leader cluster --.
 *   works: what changed of state, failure, bytes of each table --+--> one report, at most every 250 ms
 *
 * A report tells what changed, and the clock at which all else is as it was. Each has a number: a node
 * that has missed one says so, and the next one holds all. Figures that grow all the time are told once a
 * second; while nothing changes at all, that the gateway lives is told every few seconds.
 */
import { type Logger } from '@flotilla/platform';
import { type GatewayClock } from '../gateway-clock.js';
import { textOf } from './failure-kind.js';
import {
  type OwnCluster,
  type PositionReport,
  type PullerTold,
  type ReportedPosition,
} from './ports.js';
import { type PositionBoard } from './position-board.js';
import { type PullTally } from './pull-tally.js';

const REPORT_EVERY_MS = 250;
/** Well within the time that nodes keep what they were told by a gateway that is silent. */
const ALIVE_EVERY_MS = 5_000;
const FIGURES_EVERY_MS = 1_000;
/** Tables whose pullers are told of in one report; the others come with the next ones. */
const PULLERS_PER_REPORT_MAX = 10_000;
/** In these states nothing is wrong, whatever was before. */
const HEALTHY: readonly string[] = ['pulling', 'waiting'];

/** A table that this gateway works on. */
export interface ReportedWork {
  readonly table: string;
  readonly state: string;
  readonly holding: { readonly copy: { readonly id: number } };
}

export interface ReportedWorks {
  readonly gateway: string;
  readonly all: () => readonly ReportedWork[];
  readonly tally: Pick<PullTally, 'of' | 'keepOnly'>;
}

interface Told {
  readonly puller: PullerTold;
  readonly atMs: number;
}

export class PositionReporter {
  private readonly stopping = new AbortController();
  private readonly told = new Map<number, Told>();
  private running: Promise<void> | undefined;
  private sequence = 0;
  private needsAll = true;
  private clockMs = 0;
  private sentAtMs = -Infinity;

  constructor(
    private readonly board: Pick<PositionBoard, 'takeReport' | 'copyIndexOf' | 'clockMs'>,
    private readonly own: Pick<OwnCluster, 'report'>,
    private readonly clock: Pick<GatewayClock, 'sleep' | 'nowMs'>,
    private readonly logger: Pick<Logger, 'debug'>,
    private readonly works: ReportedWorks,
  ) {}

  start(): void {
    this.running ??= this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  /** What is to be told now; undefined if there is nothing. */
  take(): PositionReport | undefined {
    const nowMs = this.clock.nowMs();
    const isAll = this.needsAll;
    if (isAll) this.told.clear();
    const works = this.works.all();
    const left = this.leftOut(works);
    const reported = this.board.takeReport(isAll);
    const positions = new Map<number, ReportedPosition>();
    for (const position of reported.positions) positions.set(position.copyId, position);
    for (const [copyId, puller] of this.duePullers(works, nowMs)) {
      const none = { copyId, leaderIndex: 0, clockMs: 0, stands: false };
      positions.set(copyId, { ...(positions.get(copyId) ?? none), puller });
    }
    const { moved } = reported;
    const { clockMs } = this.board;
    const isNew = isAll || clockMs !== this.clockMs || nowMs - this.sentAtMs >= ALIVE_EVERY_MS;
    if (!isNew && positions.size + moved.length + left.length === 0) return undefined;
    this.needsAll = false;
    this.clockMs = clockMs;
    this.sentAtMs = nowMs;
    const { gateway } = this.works;
    const sequence = ++this.sequence;
    return { gateway, sequence, isAll, clockMs, positions: [...positions.values()], moved, left };
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      const report = this.take();
      try {
        if (report && (await this.own.report(report))) this.needsAll = true;
      } catch (error) {
        this.needsAll = true;
        this.logger.debug({ reason: textOf(error) }, 'positions could not be reported');
      }
      await this.clock.sleep(REPORT_EVERY_MS, signal);
    }
  }

  /** Copies that were told of and are not pulled any more. */
  private leftOut(works: readonly ReportedWork[]): number[] {
    const { told } = this;
    const copyIds = new Set(works.map(({ holding }) => holding.copy.id));
    const left = [...told.keys()].filter((copyId) => !copyIds.has(copyId));
    for (const copyId of left) told.delete(copyId);
    if (left.length > 0) this.works.tally.keepOnly(new Set(works.map(({ table }) => table)));
    return left;
  }

  private duePullers(works: readonly ReportedWork[], nowMs: number): [number, PullerTold][] {
    const due: [number, PullerTold][] = [];
    for (const { table, state, holding } of works) {
      if (due.length >= PULLERS_PER_REPORT_MAX) break;
      const copyId = holding.copy.id;
      const puller = this.describe(table, state, this.board.copyIndexOf(copyId));
      const before = this.told.get(copyId);
      if (before && nowMs - before.atMs < intervalMs(before.puller, puller)) continue;
      this.told.set(copyId, { puller, atMs: nowMs });
      due.push([copyId, puller]);
    }
    return due;
  }

  private describe(table: string, state: string, copyIndex: number): PullerTold {
    const { gateway, tally } = this.works;
    const { lastError, receivedBytes, snapshotBytes } = tally.of(table);
    const error = HEALTHY.includes(state) ? '' : lastError;
    return { gateway, state, lastError: error, copyIndex, receivedBytes, snapshotBytes };
  }
}

/** Between telling the one and telling the other. */
function intervalMs(before: PullerTold, now: PullerTold): number {
  if (phase(before) !== phase(now) || before.lastError !== now.lastError) return 0;
  const isSame =
    before.copyIndex === now.copyIndex &&
    before.receivedBytes === now.receivedBytes &&
    before.snapshotBytes === now.snapshotBytes;
  return isSame ? Infinity : FIGURES_EVERY_MS;
}

/** A table that is polled goes from one healthy state to another many times a second. */
function phase({ state }: PullerTold): string {
  return HEALTHY.includes(state) ? 'healthy' : state;
}
