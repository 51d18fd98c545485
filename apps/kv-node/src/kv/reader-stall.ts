/**
 * Waits for a reader that is behind, but not for ever: what is kept open for it costs others.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type Cancel, type NodeClock } from '../node/node-clock.js';
import { READER_STALL_MS } from './limits.js';

/** Rejects with DeadlineExceeded when the reader took nothing for too long. */
export async function withinStallLimit(
  clock: Pick<NodeClock, 'after'>,
  behind: Promise<void>,
): Promise<void> {
  let cancel: Cancel | undefined;
  const stalled = new Promise<never>((_, reject) => {
    cancel = clock.after(READER_STALL_MS, () => {
      const message = `the reader took nothing for ${READER_STALL_MS} ms`;
      reject(new GrpcStatusError(status.DEADLINE_EXCEEDED, message));
    });
  });
  try {
    await Promise.race([behind, stalled]);
  } finally {
    cancel?.();
  }
}
