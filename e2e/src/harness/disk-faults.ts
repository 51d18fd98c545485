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

/** What the process reads on every call. */
export interface DiskOrders {
  readonly faults: readonly DiskFault[];
  /** The file that calls are traced in; each `set` begins another one. */
  readonly trace: string;
}

/** Files of the Raft log, and of the write-ahead log of the engine. */
export const LOG_FILES = '/raft-0';
export const ENGINE_FILES = '/state-machine/';

const PRELOAD = resolve(import.meta.dirname, '../../dist/harness/disk-faults-preload.js');

export class DiskFaults {
  private readonly control: string;
  private sets = 0;

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
    const before = this.traceFile;
    this.sets++;
    const orders: DiskOrders = { faults, trace: this.traceFile };
    // Never seen half written.
    writeFileSync(`${this.control}.new`, JSON.stringify(orders));
    renameSync(`${this.control}.new`, this.control);
    // The process traces in the other file by now, and may have met the fault already.
    rmSync(before, { force: true });
  }

  private get traceFile(): string {
    return `${this.control}.trace-${this.sets}`;
  }

  clear(): void {
    this.set([]);
  }

  /** What was done since `set`, in order. */
  trace(): TracedCall[] {
    if (!existsSync(this.traceFile)) return [];
    const lines = readFileSync(this.traceFile, 'utf8').trimEnd().split('\n');
    return lines.map((line) => JSON.parse(line) as TracedCall);
  }

  remove(): void {
    const files = [this.control, `${this.control}.new`, this.traceFile];
    for (const file of files) rmSync(file, { force: true });
  }
}
