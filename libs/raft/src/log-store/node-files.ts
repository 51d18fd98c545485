/**
 * The real file operations, on Node's `fs` with plain descriptors.
 *
 * `fs` with callbacks rather than `fs.promises`: an append with its fdatasync takes half the time.
 * Errors of the operating system pass through unchanged; the store wraps them.
 */
import {
  close,
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsync,
  mkdirSync,
  open,
  openSync,
  read,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  write,
  writeSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';

import { lockDirectory } from './directory-lock.js';
import type { DirectoryLock, LogFile, LogFiles } from './files.js';

class NodeLogFile implements LogFile {
  private isOpen = true;

  constructor(private readonly descriptor: number) {}

  writeSync(bytes: Uint8Array, start: number, end: number, position: number): number {
    return writeSync(this.descriptor, bytes, start, end - start, position);
  }

  write(bytes: Uint8Array, start: number, end: number, position: number): Promise<number> {
    return new Promise((fulfil, reject) => {
      write(this.descriptor, bytes, start, end - start, position, (error, written) => {
        if (error) reject(error);
        else fulfil(written);
      });
    });
  }

  sync(): Promise<void> {
    return new Promise((fulfil, reject) => {
      fdatasync(this.descriptor, (error) => {
        if (error) reject(error);
        else fulfil();
      });
    });
  }

  syncHere(): void {
    fdatasyncSync(this.descriptor);
  }

  readSync(bytes: Uint8Array, position: number): number {
    return readSync(this.descriptor, bytes, 0, bytes.length, position);
  }

  read(bytes: Uint8Array, position: number): Promise<number> {
    return new Promise((fulfil, reject) => {
      read(this.descriptor, bytes, 0, bytes.length, position, (error, count) => {
        if (error) reject(error);
        else fulfil(count);
      });
    });
  }

  sizeBytes(): number {
    return fstatSync(this.descriptor).size;
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    closeSync(this.descriptor);
  }
}

export class NodeLogFiles implements LogFiles {
  async ensureDirectory(directory: string): Promise<void> {
    const path = resolve(directory);
    if (existsSync(path)) return;
    mkdirSync(path, { recursive: true });
    // Each new directory is an entry of its parent; a parent that was there already costs little.
    for (let child = path; dirname(child) !== child; child = dirname(child)) {
      await this.syncDirectory(dirname(child)).catch(ignorePermissions);
    }
  }

  list(directory: string): readonly string[] {
    return readdirSync(directory);
  }

  lock(directory: string): Promise<DirectoryLock> {
    return lockDirectory(directory);
  }

  create(path: string): LogFile {
    const { O_RDWR, O_CREAT, O_TRUNC } = constants;
    return new NodeLogFile(openSync(path, O_RDWR | O_CREAT | O_TRUNC, 0o640));
  }

  open(path: string): LogFile {
    return new NodeLogFile(openSync(path, constants.O_RDWR));
  }

  rename(from: string, to: string): void {
    renameSync(from, to);
  }

  remove(path: string): void {
    rmSync(path, { force: true });
  }

  freeBytes(directory: string): number {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize;
  }

  syncDirectory(directory: string): Promise<void> {
    return new Promise((fulfil, reject) => {
      open(directory, constants.O_RDONLY, (openError, descriptor) => {
        if (openError) {
          reject(openError);
          return;
        }
        fsync(descriptor, (syncError) => {
          close(descriptor, (closeError) => {
            const error = syncError ?? closeError;
            if (error) reject(error);
            else fulfil();
          });
        });
      });
    });
  }
}

/** A parent far up that we may not open cannot have been made by us. */
function ignorePermissions(error: unknown): void {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code !== 'EACCES' && code !== 'EPERM') throw error;
}
