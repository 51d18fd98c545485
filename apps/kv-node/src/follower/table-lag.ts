/**
 * How far a copy is behind its leader cluster, from what the puller reports of that.
 *
 * In: reports (revision of the leader cluster, its clock then) and the revision of the copy. Out: how
 * many revisions are missing, and for how long the leader cluster has had more than is here. The time
 * is reckoned on the leader cluster's clock alone: this node only adds what has passed here since the
 * last report, so clocks that differ make no lag. While the leader cluster stands where it was, its clock is
 * that of the gateway's view, looked at when somebody asks. Pure: time comes with the call.
 */
import { type GatewayView } from './gateway-views.js';

export interface Lag {
  readonly revisions: number;
  /** Undefined until the copy has been seen at a revision that was reported. */
  readonly ms: number | undefined;
}

interface Report {
  readonly revision: number;
  /** Clock of the leader cluster, milliseconds since the epoch. */
  readonly clockMs: number;
}

/** Reports kept that the copy has not reached; beyond, the time behind is told a little too high. */
export const OPEN_REPORTS_MAX = 128;

export class TableLag {
  private last: (Report & { readonly atMs: number }) | undefined;
  /** Not reached by the copy, oldest first. */
  private readonly open: Report[] = [];
  /** The copy had all that the leader cluster had at this time of its clock. */
  private currentAsOfMs: number | undefined;
  private view: GatewayView | undefined;

  /** Revision of the leader cluster as it was last heard. */
  get leaderRevision(): number | undefined {
    return this.last?.revision;
  }

  /** `nowMs` is on a clock of this node that never jumps. Older ones than before are left out. */
  report(revision: number, clockMs: number, nowMs: number): void {
    this.lookAtView();
    if (this.last && clockMs < this.last.clockMs) return;
    this.last = { revision, clockMs, atMs: nowMs };
    // A leader cluster that is behind what it said has begun anew: what it said before is void.
    while ((this.open.at(-1)?.revision ?? 0) > revision) this.open.pop();
    if (this.open.length >= OPEN_REPORTS_MAX) this.open.pop();
    this.open.push({ revision, clockMs });
  }

  /** The last report holds for as long as the view goes on; undefined: not any more. */
  follow(view: GatewayView | undefined): void {
    this.lookAtView();
    this.view = view;
  }

  /** The gateway does not hear of the table any more, unless another one does by now. */
  leave(view: GatewayView): void {
    if (this.view === view) this.follow(undefined);
  }

  /** Undefined before the first report. */
  behind(copyRevision: number, nowMs: number): Lag | undefined {
    this.lookAtView();
    const { last, open } = this;
    if (!last) return undefined;
    let reached = 0;
    for (const { revision, clockMs } of open) {
      if (revision > copyRevision) break;
      this.currentAsOfMs = clockMs;
      reached++;
    }
    open.splice(0, reached);
    const leaderNowMs = last.clockMs + Math.max(0, nowMs - last.atMs);
    const ms = this.currentAsOfMs === undefined ? undefined : leaderNowMs - this.currentAsOfMs;
    return {
      revisions: Math.max(0, last.revision - copyRevision),
      ms: ms === undefined ? undefined : Math.max(0, Math.round(ms)),
    };
  }

  private lookAtView(): void {
    const { last, view, open } = this;
    if (!last || !view || view.clockMs <= last.clockMs) return;
    const { revision } = last;
    this.last = { revision, clockMs: view.clockMs, atMs: view.clockAtMs };
    // The same revision at a later clock says all that the earlier one did.
    if (open.at(-1)?.revision === revision) open.pop();
    if (open.length >= OPEN_REPORTS_MAX) open.pop();
    open.push({ revision, clockMs: view.clockMs });
  }
}
