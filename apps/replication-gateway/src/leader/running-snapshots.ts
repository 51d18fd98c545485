/**
 * Snapshots that a gateway streams at a time, in whichever protocol: each keeps a view of a table open at a
 * node. One more than the bound is refused with Unavailable.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';

export const SNAPSHOTS_MAX = 64;

export class RunningSnapshots {
  private running = 0;

  async run<T>(stream: () => Promise<T>): Promise<T> {
    if (this.running >= SNAPSHOTS_MAX) {
      const text = `${SNAPSHOTS_MAX} snapshots are streamed already`;
      throw new GrpcStatusError(status.UNAVAILABLE, text);
    }
    this.running++;
    try {
      return await stream();
    } finally {
      this.running--;
    }
  }
}
