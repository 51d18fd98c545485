/**
 * What a node looks after again and again: its own row, the cluster's, its groups' members and leaders.
 *
 * One look at a time, every few hundred milliseconds, and at once when the catalog changed. None of it
 * is needed for a request to be answered.
 */
import { HostError } from '@flotilla/raft';
import { GrpcStatusError } from '@flotilla/grpc';
import { type Cancel, type NodeClock } from '../node/node-clock.js';

const LOOK_MS = 500;
/** A change of the catalog is acted upon after this, so that several are one look. */
const SOON_MS = 20;

export interface LoopTasks {
  /** True once this node's row is right. */
  register(): Promise<boolean>;
  operate(): Promise<void>;
  move(): Promise<void>;
  spread(): void;
}

export class ClusterLoop {
  private cancelNext: Cancel | undefined;
  private looking: Promise<void> | undefined;
  private stopped = false;
  private registered = false;
  private readonly waiting: (() => void)[] = [];

  constructor(
    private readonly tasks: LoopTasks,
    private readonly onFatal: (error: unknown) => void,
    private readonly clock: NodeClock,
  ) {}

  start(): void {
    this.schedule(0);
  }

  /** Settles once this node's row in the catalog is right. */
  whenRegistered(): Promise<void> {
    if (this.registered) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** The catalog changed. */
  nudge(): void {
    if (!this.stopped && !this.looking) this.schedule(SOON_MS);
  }

  /** The row has to be looked at again. */
  registerAgain(): void {
    this.registered = false;
    this.nudge();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.cancelNext?.();
    await this.looking;
  }

  private schedule(delayMs: number): void {
    this.cancelNext?.();
    this.cancelNext = this.clock.after(delayMs, () => {
      this.looking = this.look()
        .catch(this.onFatal)
        .finally(() => {
          this.looking = undefined;
          if (!this.stopped) this.schedule(LOOK_MS);
        });
    });
  }

  private async look(): Promise<void> {
    if (!this.registered) await this.tryTo(() => this.register());
    await this.tryTo(() => this.tasks.operate());
    await this.tryTo(() => this.tasks.move());
    this.tasks.spread();
  }

  private async register(): Promise<void> {
    this.registered = await this.tasks.register();
    if (this.registered) for (const resolve of this.waiting.splice(0)) resolve();
  }

  /** No leader, no majority, a node that does not answer: the next look may find it otherwise. */
  private async tryTo(task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      if (!(error instanceof HostError) && !(error instanceof GrpcStatusError)) throw error;
    }
  }
}
