/**
 * The lags of all tables that are copies, and what readers are told of them.
 *
 *   flotilla-revision         revision of the copy that answered
 *   flotilla-lag-revisions    how many more the leader cluster has
 *   flotilla-lag-ms           for how long it has had more
 *
 * In: reports, by the id of the table here. Out: lags, and header metadata. What is not known is not
 * said. Tables that the catalog does not list are forgotten, and none is remembered for a report.
 */
import { type CallContext } from '@flotilla/grpc';
import { type NodeClock } from '../node/node-clock.js';
import { type GatewayView } from './gateway-views.js';
import { TableLag, type Lag } from './table-lag.js';

export const REVISION_HEADER = 'flotilla-revision';
export const LAG_REVISIONS_HEADER = 'flotilla-lag-revisions';
export const LAG_MS_HEADER = 'flotilla-lag-ms';

/** Where the leader cluster stands, as a puller heard it. */
export interface LeaderPosition {
  /** Id of the table in this cluster. */
  readonly tableId: number;
  readonly revision: number;
  /** Clock of the leader cluster then, milliseconds since the epoch. */
  readonly clockMs: number;
  /** Of the gateway, if it stands there for as long as that goes on. */
  readonly view?: GatewayView | undefined;
}

/** What a reader is told of the copy that answered. */
export interface CopyLag {
  readonly revision: number;
  readonly lag: Lag | undefined;
}

export class LagBoard {
  private readonly tables = new Map<number, TableLag>();

  constructor(
    private readonly clock: Pick<NodeClock, 'nowMs'>,
    private readonly isListed: (tableId: number) => boolean,
  ) {}

  report(positions: readonly LeaderPosition[]): void {
    const nowMs = this.clock.nowMs();
    for (const { tableId, revision, clockMs, view } of positions) {
      if (!this.isListed(tableId)) continue;
      let table = this.tables.get(tableId);
      if (!table) this.tables.set(tableId, (table = new TableLag()));
      table.report(revision, clockMs, nowMs);
      table.follow(view);
    }
  }

  /** Where the leader cluster stands with it is not known any more. */
  moved(tableId: number): void {
    this.tables.get(tableId)?.follow(undefined);
  }

  left(tableId: number, view: GatewayView): void {
    this.tables.get(tableId)?.leave(view);
  }

  forget(tableId: number): void {
    this.tables.delete(tableId);
  }

  /** `revision` is that of the copy. */
  of(tableId: number, revision: number): CopyLag {
    return { revision, lag: this.tables.get(tableId)?.behind(revision, this.clock.nowMs()) };
  }

  leaderRevision(tableId: number): number | undefined {
    return this.tables.get(tableId)?.leaderRevision;
  }
}

export function tellLag(call: Pick<CallContext, 'setHeader'>, { revision, lag }: CopyLag): void {
  call.setHeader(REVISION_HEADER, String(revision));
  if (!lag) return;
  call.setHeader(LAG_REVISIONS_HEADER, String(lag.revisions));
  if (lag.ms !== undefined) call.setHeader(LAG_MS_HEADER, String(lag.ms));
}
