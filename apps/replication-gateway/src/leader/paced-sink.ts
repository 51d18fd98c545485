/**
 * Sends messages to a follower cluster at its pace.
 *
 * In: messages. Out: a promise to wait for before the next one. A reader that takes nothing for too long
 * is sent away: what is open for it at a node keeps old data on disk.
 */
import { GrpcStatusError, type MessageSink, status } from '@flotilla/grpc';
import { type GatewayClock } from '../gateway-clock.js';

/** How long a stream waits for a reader that takes nothing. */
export const READER_STALL_MS = 60_000;

export class PacedSink {
  constructor(
    private readonly sink: MessageSink,
    private readonly clock: Pick<GatewayClock, 'sleep' | 'turn'>,
  ) {}

  /** Rejects with DeadlineExceeded when the reader is stuck, and as the call ends. */
  async send(message: Uint8Array): Promise<void> {
    const behind = this.sink.write(message);
    if (!behind) return this.clock.turn();
    const done = new AbortController();
    const stalled = this.clock.sleep(READER_STALL_MS, done.signal).then(() => {
      if (done.signal.aborted) return;
      const text = `the reader took nothing for ${READER_STALL_MS} ms`;
      throw new GrpcStatusError(status.DEADLINE_EXCEEDED, text);
    });
    try {
      await Promise.race([behind, stalled]);
    } finally {
      done.abort();
    }
  }
}
