/**
 * The priority of a whole process. On Linux it belongs to each thread, and those of the pool and of V8
 * are there before any program is: to lower the first one alone leaves them as they were. Threads that
 * are made later take that of the one that makes them.
 */
import { readdirSync } from 'node:fs';
import { setPriority } from 'node:os';

/** `nice` from -20 to 19. Throws an error of the system if it does not allow that. */
export function setProcessPriority(nice: number): void {
  setPriority(nice);
  if (process.platform !== 'linux') return;
  for (const thread of readdirSync('/proc/self/task')) setThread(Number(thread), nice);
}

function setThread(thread: number, nice: number): void {
  try {
    setPriority(thread, nice);
  } catch (error) {
    // It ended meanwhile.
    if (!isGone(error)) throw error;
  }
}

function isGone(error: unknown): boolean {
  const code = (error as { info?: { code?: unknown } } | null)?.info?.code;
  return code === 'ESRCH';
}
