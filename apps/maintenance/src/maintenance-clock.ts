/**
 * Time, as this app has it: one port for everything that waits or looks at a clock.
 */
import { setTimeout as sleepUntil } from 'node:timers/promises';

export interface MaintenanceClock {
  /** Milliseconds of a clock that never goes back; only differences have a meaning. */
  nowMs(): number;
  /** Milliseconds since the epoch. */
  wallMs(): number;
  /** Settles after a while, or at once when the signal is aborted. Never rejects. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** The clock of this machine. */
export const SYSTEM_CLOCK: MaintenanceClock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  sleep: (delayMs, signal) =>
    sleepUntil(delayMs, undefined, signal && { signal }).catch((error: unknown) => {
      if (!signal?.aborted) throw error;
    }),
};
