/**
 * The two places where tests lay a damaged log: files in memory, and real ones.
 *
 * In: file names and bytes. Out: the port that the log store opens, and which positions of a sweep to
 * try there. A sweep takes every position in memory; on real files, where each opening waits for the
 * disk several times, both ends and a few between, to see that the port makes no difference.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { LogFiles } from '../files.js';
import { NodeLogFiles } from '../node-files.js';
import { temporaryDirectory } from './fixtures.js';
import { SimulatedFiles } from './simulated-files.js';

const REAL_POSITIONS_MAX = 6;

export interface LogDisk {
  readonly directory: string;
  readonly files: LogFiles;
  /** Which numbers from `from` to `below - 1` a sweep tries here; `every` is its own step. */
  positions(from: number, below: number, every?: number): number[];
  names(): string[];
  read(path: string): Buffer;
  /** The whole file anew, as though it had been like that for ever. */
  write(path: string, bytes: Uint8Array): void;
  remove(path: string): void;
  dispose(): void;
}

export function memoryDisk(): LogDisk {
  const directory = '/disk/raft';
  const files = new SimulatedFiles();
  return {
    directory,
    files,
    positions: stepped,
    names: () => [...files.list(directory)],
    read: (path) => Buffer.from(files.contentOf(path)),
    write: (path, bytes) => files.place(path, bytes),
    remove: (path) => files.remove(path),
    dispose: () => undefined,
  };
}

export function realDisk(): LogDisk {
  const folder = temporaryDirectory();
  const directory = folder.path;
  return {
    directory,
    files: new NodeLogFiles(),
    positions: (from, below, every = 1) => {
      const all = stepped(from, below, every);
      const stride = Math.max(1, Math.ceil((all.length - 1) / (REAL_POSITIONS_MAX - 1)));
      return all.filter((_, at) => at % stride === 0 || at === all.length - 1);
    },
    names: () => readdirSync(directory),
    read: (path) => readFileSync(path),
    write: (path, bytes) => writeFileSync(path, bytes),
    remove: (path) => rmSync(path),
    dispose: () => folder.remove(),
  };
}

/** Lays all files of one disk onto another one. */
export function copyDisk(from: LogDisk, to: LogDisk): void {
  for (const name of from.names()) {
    to.write(join(to.directory, name), from.read(join(from.directory, name)));
  }
}

function stepped(from: number, below: number, every = 1): number[] {
  const count = Math.max(0, Math.ceil((below - from) / every));
  return Array.from({ length: count }, (_, at) => from + at * every);
}
