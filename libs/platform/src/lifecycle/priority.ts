/**
 * The priority of a whole process. On Linux it belongs to each thread, and those of the pool and of V8
 * are there before any program is: to lower the first one alone leaves them as they were. Threads that
 * are made later take that of the one that makes them.
 */
import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

const ITSELF = 0;

/** To `nice`, up to 19, where it is not as low already. Throws an error of the system if it does not allow that. */
export function lowerProcessPriority(nice: number): void {
  lower(ITSELF, nice);
  if (process.platform !== 'linux') return;
  for (const thread of readdirSync('/proc/self/task')) {
    try {
      lower(Number(thread), nice);
    } catch (error) {
      // It ended meanwhile.
      if (!isGone(error)) throw error;
    }
  }
}

function lower(thread: number, nice: number): void {
  if (getPriority(thread) < nice) setPriority(thread, nice);
}

function isGone(error: unknown): boolean {
  const code = (error as { info?: { code?: unknown } } | null)?.info?.code;
  return code === 'ESRCH';
}
