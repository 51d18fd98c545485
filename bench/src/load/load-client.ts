/**
 * The load client as seen from the process that leads the benchmark: one fresh process for each run.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { LoadPlan, LoadResult } from './plan.js';

/** Also when this is read from source: a process runs what was compiled. */
const PROGRAM = resolve(import.meta.dirname, '../../dist/load/main.js');

interface Reply {
  readonly result?: LoadResult;
  readonly error?: string;
}

/** Throws with what the first request that failed was told. */
export async function runLoad(plan: LoadPlan): Promise<LoadResult> {
  const child = fork(PROGRAM, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const replied = once(child, 'message') as Promise<[Reply]>;
  const exited = once(child, 'exit') as Promise<[number | null]>;
  try {
    child.send(plan);
    const outcome = await Promise.race([replied, exited]);
    const [reply] = outcome;
    if (typeof reply !== 'object' || reply === null) {
      throw new Error(`the load client ended with ${String(reply)}`);
    }
    if (!reply.result) throw new Error(`the load failed: ${reply.error}`);
    return reply.result;
  } finally {
    child.disconnect();
    await exited;
  }
}
