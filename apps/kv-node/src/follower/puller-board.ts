/**
 * How the tables that are copies are pulled, as their gateways tell it.
 *
 * In: reports, by the id of the table here. Out: the last one of each table, until it is too old. One
 * report a table is kept, and none of a table that the catalog does not list.
 */
import { type applyV1 } from '@flotilla/proto';
import { invalid } from '../kv/errors.js';
import { type NodeClock } from '../node/node-clock.js';
import { type GatewayView } from './gateway-views.js';

/** A gateway tells that it lives within a part of this time. */
export const PULLER_REPORT_MS = 20_000;
export const GATEWAY_BYTES_MAX = 255;
/** Of a state or a kind of errors: they are labels of metrics. */
const NAME = /^[a-z][a-z-]{0,39}$/;

export interface PullerReport {
  readonly gateway: string;
  readonly state: string;
  /** Kind of what went wrong last; empty if nothing is wrong. */
  readonly lastError: string;
  /** Last index of the leader cluster's log that the copy is known to hold. */
  readonly copyIndex: number;
  /** Of the snapshot that is being taken; the total is 0 if nobody knows it. */
  readonly snapshotBytes: number;
  readonly snapshotBytesTotal: number;
  readonly receivedBytes: number;
}

interface Kept {
  readonly report: PullerReport;
  readonly atMs: number;
  /** Of the gateway, for as long as it goes on. */
  readonly view: GatewayView | undefined;
}

export class PullerBoard {
  private readonly reports = new Map<number, Kept>();

  constructor(
    private readonly clock: Pick<NodeClock, 'nowMs'>,
    private readonly isListed: (tableId: number) => boolean,
  ) {}

  report(tableId: number, report: PullerReport, view?: GatewayView): void {
    if (!this.isListed(tableId)) return;
    this.reports.set(tableId, { report, atMs: this.clock.nowMs(), view });
  }

  /** The gateway does not pull the table any more, whoever does by now. */
  left(tableId: number, gateway: string): void {
    if (this.reports.get(tableId)?.report.gateway === gateway) this.reports.delete(tableId);
  }

  forget(tableId: number): void {
    this.reports.delete(tableId);
  }

  /** Undefined if no gateway has told it lately. */
  of(tableId: number): PullerReport | undefined {
    const kept = this.reports.get(tableId);
    if (!kept) return undefined;
    const heardAtMs = Math.max(kept.atMs, kept.view?.heardAtMs ?? 0);
    if (this.clock.nowMs() - heardAtMs <= PULLER_REPORT_MS) return kept.report;
    this.reports.delete(tableId);
    return undefined;
  }
}

/** What a gateway sent, checked; the error names the field. */
export function toPullerReport(puller: applyV1.PullerReport): PullerReport {
  const { gateway, state, lastError } = puller;
  if (gateway === '') throw invalid('puller.gateway must be set');
  if (Buffer.byteLength(gateway) > GATEWAY_BYTES_MAX) {
    throw invalid(`puller.gateway must be at most ${GATEWAY_BYTES_MAX} bytes long`);
  }
  if (!NAME.test(state)) throw invalid('puller.state must be a word of small letters and hyphens');
  if (lastError !== '' && !NAME.test(lastError)) {
    throw invalid('puller.last_error must be a word of small letters and hyphens');
  }
  return {
    gateway,
    state,
    lastError,
    copyIndex: Number(puller.copyIndex),
    snapshotBytes: Number(puller.snapshotBytes),
    snapshotBytesTotal: Number(puller.snapshotBytesTotal),
    receivedBytes: Number(puller.receivedBytes),
  };
}
