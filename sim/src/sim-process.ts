/**
 * One life of a process: from its start until it ends or the power goes.
 *
 * Everything that happens inside a process enters through here: nothing once it is dead, later while
 * it is paused. Its clock runs at a rate of its own. A node that is started again is a new process.
 */
import { type NodeClock, sleepOn } from '@flotilla/kv-node/simulation';
import { type CancelEvent, type SimRandom, type SimWorld } from '@flotilla/raft/testing';

/** Where the wall clocks of a simulation begin: any moment will do. */
const WALL_START_MS = 1_700_000_000_000;

export interface ProcessOptions {
  /** How fast its clock runs against that of the world; 1 is right. */
  readonly clockRate: number;
  /** How far off its wall clock is. */
  readonly wallOffsetMs: number;
}

export class SimProcess {
  private alive = true;
  private resumeAtMs = 0;
  readonly clock: NodeClock;

  constructor(
    private readonly world: SimWorld,
    private readonly random: SimRandom,
    private readonly options: ProcessOptions,
    /** Told whenever something happened in the process. */
    private readonly onActive: (process: SimProcess) => void,
  ) {
    this.clock = this.makeClock();
  }

  get isAlive(): boolean {
    return this.alive;
  }

  get isPaused(): boolean {
    return this.alive && this.world.nowMs < this.resumeAtMs;
  }

  /** Has `task` happen in this process, by the clock of the world. */
  schedule(delayMs: number, task: () => void): CancelEvent {
    let isCancelled = false;
    const cancel = this.world.at(delayMs, () => {
      if (!isCancelled) this.enter(() => isCancelled || task());
    });
    return () => {
      isCancelled = true;
      cancel();
    };
  }

  /** Something comes in now; what comes to a paused process waits until it goes on. */
  enter(task: () => void): void {
    if (!this.alive) return;
    if (this.isPaused) {
      this.world.at(this.resumeAtMs - this.world.nowMs, () => this.enter(task));
      return;
    }
    this.onActive(this);
    task();
  }

  pause(forMs: number): void {
    this.resumeAtMs = Math.max(this.resumeAtMs, this.world.nowMs + forMs);
  }

  resume(): void {
    this.resumeAtMs = this.world.nowMs;
  }

  /** Nothing happens in it any more. */
  end(): void {
    this.alive = false;
  }

  private makeClock(): NodeClock {
    const { world, random } = this;
    const { clockRate, wallOffsetMs } = this.options;
    const after = (delayMs: number, task: () => void) => this.schedule(delayMs / clockRate, task);
    const clock: NodeClock = {
      nowMs: () => world.nowMs * clockRate,
      wallMs: () => WALL_START_MS + wallOffsetMs + world.nowMs * clockRate,
      defer: (task) => void this.schedule(0, task),
      after,
      every: (intervalMs, task) => {
        let cancel: CancelEvent;
        // An interval that was missed is not made up for: the next one counts from when it ran.
        const again = () => {
          cancel = after(intervalMs, () => {
            again();
            task();
          });
        };
        again();
        return () => cancel();
      },
      sleep: (delayMs, signal) => sleepOn(clock, delayMs, signal),
      turn: () => new Promise((resolve) => void this.schedule(0, resolve)),
      random: () => random.next(),
      randomBytes: (bytes) => Buffer.from(Array.from({ length: bytes }, () => random.below(256))),
    };
    return clock;
  }
}
