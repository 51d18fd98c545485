/**
 * Tells a caller how far something is, at a pace of its own.
 *
 * In: as many messages as there are steps. Out: those that are due. Steps are left out while the caller is
 * behind or was told just now: what is slow to listen never holds up a backup, nor fills the memory.
 */
import { type MessageSink } from '@flotilla/grpc';
import { type MaintenanceClock } from '../maintenance-clock.js';

/** Between two messages on the same table. */
const PACE_MS = 200;

export class ProgressSink<T> {
  private behind: Promise<void> | undefined;
  private readonly toldAtMs = new Map<string, number>();

  constructor(
    private readonly sink: MessageSink,
    private readonly clock: Pick<MaintenanceClock, 'nowMs'>,
    private readonly encode: (message: T) => Uint8Array,
  ) {}

  /** May be left out; the last one on something comes sooner. */
  step(about: string, message: T, isLast = false): void {
    const nowMs = this.clock.nowMs();
    const isDue = isLast || nowMs - (this.toldAtMs.get(about) ?? -PACE_MS) >= PACE_MS;
    if (this.behind || !isDue) return;
    if (isLast) this.toldAtMs.delete(about);
    else this.toldAtMs.set(about, nowMs);
    this.write(message);
  }

  /** Is told, whatever it takes. */
  async tell(message: T): Promise<void> {
    await this.behind;
    await this.sink.write(this.encode(message));
  }

  private write(message: T): void {
    const behind = this.sink.write(this.encode(message));
    if (!behind) return;
    this.behind = behind.finally(() => {
      this.behind = undefined;
    });
    // That the call has ended is told by its signal, and by the next message that has to arrive.
    this.behind.catch(() => undefined);
  }
}
