/**
 * Tells the nodes of this cluster where the leader cluster stands, for readers that ask how far
 * behind they are. In: the board. Out: reports, one at a time. One that fails is not sent again:
 * the next one says more.
 */
import { type Logger } from '@flotilla/platform';
import { type GatewayClock } from '../gateway-clock.js';
import { textOf } from './failure-kind.js';
import { type OwnCluster } from './ports.js';
import { type PositionBoard } from './position-board.js';

const REPORT_EVERY_MS = 250;

export class PositionReporter {
  private readonly stopping = new AbortController();
  private running: Promise<void> | undefined;

  constructor(
    private readonly board: Pick<PositionBoard, 'takeReport'>,
    private readonly own: Pick<OwnCluster, 'report'>,
    private readonly clock: Pick<GatewayClock, 'sleep'>,
    private readonly logger: Pick<Logger, 'debug'>,
  ) {}

  start(): void {
    this.running ??= this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      const positions = this.board.takeReport();
      try {
        if (positions.length > 0) await this.own.report(positions);
      } catch (error) {
        this.logger.debug({ reason: textOf(error) }, 'positions could not be reported');
      }
      await this.clock.sleep(REPORT_EVERY_MS, signal);
    }
  }
}
