/**
 * Time, as a gateway has it: one port for everything that waits or looks at a clock.
 */
import { setTimeout as sleepUntil } from 'node:timers/promises';

export interface GatewayClock {
  /** Milliseconds of a clock that never goes back; only differences have a meaning. */
  nowMs(): number;
  /** Milliseconds since the epoch, as deadlines of calls are counted. */
  wallMs(): number;
  /** Settles after a while, or at once when the signal is aborted. Never rejects. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
  /** Lets the loop turn, so that others get to work. */
  turn(): Promise<void>;
}

/** The clock of this machine. */
export const SYSTEM_CLOCK: GatewayClock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  sleep: (delayMs, signal) =>
    sleepUntil(delayMs, undefined, signal && { signal }).catch((error: unknown) => {
      if (!signal?.aborted) throw error;
    }),
  turn: () => new Promise((resolve) => setImmediate(resolve)),
};
