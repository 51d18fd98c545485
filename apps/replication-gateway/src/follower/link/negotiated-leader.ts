/**
 * The leader cluster by whatever it serves: the stream of Flotilla, or else the protocol of Regatta.
 *
 *   connecting --welcome--> stream        connecting --not served--> polls, the stream asked for
 *                                                                    again every minute
 *
 * In: both ways. Out: one leader cluster. While it is not known what is served, and while the
 * stream is served but down, nothing is polled: the two ways name tables differently, and a leader
 * cluster that was refused must not be read by another door.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type GatewayClock } from '../../gateway-clock.js';
import {
  type LeaderCluster,
  type LeaderSnapshot,
  type LeaderTable,
  type LeaderTables,
  type LogMessage,
  type LogStart,
  type LogStream,
  type StandingListener,
} from '../ports.js';
import { type LinkLeader } from './link-leader.js';

/** How long a call waits for the first word on what is served. */
const DECIDE_MS = 5_000;

export class NegotiatedLeader implements LeaderCluster {
  private isDecided = false;

  constructor(
    private readonly link: LinkLeader,
    private readonly polls: LeaderCluster,
    private readonly clock: Pick<GatewayClock, 'nowMs'>,
  ) {}

  get known(): LeaderTables | undefined {
    return this.link.known;
  }

  listen(listener: StandingListener): void {
    this.link.listen(listener);
  }

  changed(signal: AbortSignal): Promise<void> {
    return this.link.changed(signal);
  }

  async tables(signal: AbortSignal): Promise<LeaderTables> {
    return (await this.way(signal)).tables(signal);
  }

  log(of: LeaderTable, start: LogStart, signal: AbortSignal): LogStream {
    if (this.isDecided) return this.now.log(of, start, signal);
    return new LaterLog(async () => (await this.way(signal)).log(of, start, signal));
  }

  async snapshot(of: LeaderTable, signal: AbortSignal): Promise<LeaderSnapshot> {
    return (await this.way(signal)).snapshot(of, signal);
  }

  private get now(): LeaderCluster {
    return this.link.state === 'unserved' ? this.polls : this.link;
  }

  private async way(signal: AbortSignal): Promise<LeaderCluster> {
    const untilMs = this.clock.nowMs() + DECIDE_MS;
    while (!this.isDecided && this.link.state === 'connecting') {
      if (this.clock.nowMs() >= untilMs || signal.aborted) {
        throw new GrpcStatusError(status.UNAVAILABLE, 'the leader cluster does not answer');
      }
      await this.link.changed(signal, untilMs - this.clock.nowMs());
    }
    this.isDecided = true;
    return this.now;
  }
}

/** A log of a way that is not known yet. */
class LaterLog implements LogStream {
  private log: LogStream | undefined;

  constructor(private readonly open: () => Promise<LogStream>) {}

  get mayLeaveOut(): boolean {
    return this.log?.mayLeaveOut ?? false;
  }

  applied(index: number): void {
    this.log?.applied(index);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<LogMessage, void, undefined> {
    const log = await this.open();
    this.log = log;
    yield* log;
  }
}
