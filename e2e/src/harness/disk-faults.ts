/**
 * Faults of the disk of one kv-node, as its test commands them: see `disk-faults-preload.ts`.
 *
 * Faults hold from `set` to `clear`, also over restarts of the process, like those of a real disk.
 */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export type DiskCall = 'write' | 'sync' | 'read' | 'open';

export interface DiskFault {
  readonly call: DiskCall;
  /** Part of the path of the files in question. */
  readonly path: string;
  /** Without one the call only takes longer. */
  readonly code?: 'ENOSPC' | 'EIO';
  /** Of a failing write: so many bytes still get to the file. */
  readonly partBytes?: number;
  /** For calls off the main thread. */
  readonly stallMs?: number;
}

/** A call on a path that a fault names. */
export interface TracedCall {
  readonly call: DiskCall;
  readonly path: string;
  readonly failed: boolean;
}

/** Files of the Raft log, and of the write-ahead log of the engine. */
export const LOG_FILES = '/raft-0';
export const ENGINE_FILES = '/state-machine/';

const PRELOAD = resolve(import.meta.dirname, '../../dist/harness/disk-faults-preload.js');

export class DiskFaults {
  private readonly control: string;

  constructor(folder: string) {
    this.control = `${join(folder)}.faults`;
    this.set([]);
  }

  /** What the process is started with. */
  get execArgv(): string[] {
    return [`--import=${PRELOAD}`];
  }

  get env(): Record<string, string> {
    return { DISK_FAULTS: this.control };
  }

  /** From the next call on. */
  set(faults: readonly DiskFault[]): void {
    // Never seen half written.
    writeFileSync(`${this.control}.new`, JSON.stringify(faults));
    renameSync(`${this.control}.new`, this.control);
    rmSync(`${this.control}.trace`, { force: true });
  }

  clear(): void {
    this.set([]);
  }

  /** What was done since `set`, in order. */
  trace(): TracedCall[] {
    const file = `${this.control}.trace`;
    if (!existsSync(file)) return [];
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    return lines.map((line) => JSON.parse(line) as TracedCall);
  }

  remove(): void {
    for (const end of ['', '.trace', '.new']) rmSync(this.control + end, { force: true });
  }
}
