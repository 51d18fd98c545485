/**
 * What the gateways of this cluster have told this node, as far as nothing of it was missed.
 *
 *   all --> current --next report--> current --a report is missing--> void: all is asked for
 *
 * In: the head of each report. Out: the view that tables point to which are told to stand: its clock is that
 * of all of them, so a report of nothing new is one number. A view that is void is never moved on again, and
 * whatever points to it gets older, as if nothing were heard of the leader cluster.
 */
import { type NodeClock } from '../node/node-clock.js';

/** Gateways that are remembered; the one that was silent for longest goes first. */
export const GATEWAYS_MAX = 64;

/** Moved on by the reports of its gateway. */
export interface GatewayView {
  readonly sequence: number;
  /** Of the leader cluster, milliseconds since the epoch; 0 if it was not heard. */
  readonly clockMs: number;
  /** When this node heard that clock, and the gateway, on a clock of its own. */
  readonly clockAtMs: number;
  readonly heardAtMs: number;
}

export interface ReportHead {
  /** Empty if it tells nothing but its positions. */
  readonly gateway: string;
  readonly sequence: number;
  readonly isAll: boolean;
}

type Kept = { -readonly [Field in keyof GatewayView]: GatewayView[Field] };

export class GatewayViews {
  private readonly views = new Map<string, Kept>();

  constructor(private readonly clock: Pick<NodeClock, 'nowMs'>) {}

  /** The view that the report goes on with; undefined if something before it was missed. */
  take({ gateway, sequence, isAll }: ReportHead): GatewayView | undefined {
    if (gateway === '') return undefined;
    const heardAtMs = this.clock.nowMs();
    const known = this.views.get(gateway);
    this.views.delete(gateway);
    // The same one again is one whose answer was lost.
    const goesOn = known && (sequence === known.sequence + 1 || sequence === known.sequence);
    if (!isAll && !goesOn) return undefined;
    const view = isAll || !known ? { sequence, clockMs: 0, clockAtMs: 0, heardAtMs } : known;
    view.sequence = sequence;
    view.heardAtMs = heardAtMs;
    this.views.set(gateway, view);
    for (const oldest of this.views.keys()) {
      if (this.views.size <= GATEWAYS_MAX) break;
      this.views.delete(oldest);
    }
    return view;
  }

  /** Everything that stands by the view did so at this clock of the leader cluster. */
  advance(gateway: string, clockMs: number): void {
    const view = this.views.get(gateway);
    if (!view || clockMs <= view.clockMs) return;
    view.clockMs = clockMs;
    view.clockAtMs = this.clock.nowMs();
  }
}
