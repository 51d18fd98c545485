/**
 * Time and chance, as a node has them: one port for everything that waits, looks at a clock or draws.
 *
 * Whatever a node does later, or by chance, it asks for here, so that a whole cluster of nodes can
 * run in one process on a clock of its own and under a seed. Nothing else in a node calls a timer.
 */
import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { type Scheduler } from '@flotilla/raft';

/** Ends what it was given for; idempotent. */
export type Cancel = () => void;

export interface NodeClock extends Scheduler {
  /** Milliseconds since the epoch, as other machines see them; may jump. */
  wallMs(): number;
  /** Calls `task` once, `delayMs` from now. */
  after(delayMs: number, task: () => void): Cancel;
  /** Calls `task` again and again. */
  every(intervalMs: number, task: () => void): Cancel;
  /** Rejects with the signal's reason once that is aborted. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
  /** Lets the loop turn, so that others get to work. */
  turn(): Promise<void>;
  /** A number in [0, 1). */
  random(): number;
  randomBytes(bytes: number): Buffer;
}

/** The clock of this machine. */
export const SYSTEM_CLOCK: NodeClock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  defer: (task) => {
    setImmediate(task);
  },
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs);
    return () => clearTimeout(timer);
  },
  every: (intervalMs, task) => {
    const timer = setInterval(task, intervalMs);
    return () => clearInterval(timer);
  },
  sleep: (delayMs, signal) => sleepOn(SYSTEM_CLOCK, delayMs, signal),
  turn: () => new Promise((resolve) => setImmediate(resolve)),
  random: Math.random,
  randomBytes,
};

/** `sleep` by `after`, for every kind of clock. */
export function sleepOn(
  clock: Pick<NodeClock, 'after'>,
  delayMs: number,
  signal?: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(reasonOf(signal));
    const end = () => {
      cancel();
      reject(reasonOf(signal));
    };
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', end);
      resolve();
    });
    signal?.addEventListener('abort', end, { once: true });
  });
}

/** A random UUID (RFC 9562, version 4). */
export function drawUuid(clock: Pick<NodeClock, 'randomBytes'>): string {
  const bytes = clock.randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function reasonOf(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new Error('aborted', { cause: reason });
}
