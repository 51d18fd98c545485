/** The process of steady reads, as seen from the one that leads the benchmark. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { ReadFigures, ReadPlan, ReadReply } from './read-plan.js';

/** Also when this is read from source: a process runs what was compiled. */
const PROGRAM = resolve(import.meta.dirname, '../../dist/backup/steady-reads-main.js');
const REPLY_MS = 60_000;

export class SteadyReads {
  private readonly child: ChildProcess;
  private readonly exited: Promise<unknown[]>;

  constructor(plan: ReadPlan) {
    this.child = fork(PROGRAM, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.exited = once(this.child, 'exit');
    this.child.send({ kind: 'start', plan });
  }

  /** What was read since the last mark. Throws if a read failed. */
  async mark(): Promise<ReadFigures> {
    const replied = once(this.child, 'message', { signal: AbortSignal.timeout(REPLY_MS) });
    this.child.send({ kind: 'mark' });
    const [reply] = (await Promise.race([replied, this.exited])) as [ReadReply | number | null];
    if (typeof reply !== 'object' || reply === null) {
      throw new Error(`the process of steady reads ended with ${String(reply)}`);
    }
    if (!reply.figures) throw new Error(`a steady read failed: ${reply.error}`);
    return reply.figures;
  }

  async close(): Promise<void> {
    if (this.child.connected) this.child.disconnect();
    await this.exited;
  }
}
