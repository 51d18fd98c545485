/**
 * A file system of a given size in memory, to be filled up. Only the superuser of a Linux machine may
 * mount one; where that is not so `canMount` is false and a test has to say that it is skipped.
 */
import { spawnSync } from 'node:child_process';
import { rmSync, statfsSync } from 'node:fs';
import { temporaryFolder } from './node-process.js';

function mount(...values: readonly string[]): boolean {
  return spawnSync('mount', values).status === 0;
}

export class SmallDisk {
  private constructor(readonly folder: string) {}

  /** Undefined where this process may not mount. */
  static make(mebibytes: number): SmallDisk | undefined {
    const folder = temporaryFolder('small-disk');
    if (mount('-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', folder)) {
      return new SmallDisk(folder);
    }
    rmSync(folder, { recursive: true });
    return undefined;
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  }

  grow(mebibytes: number): void {
    if (!mount('-o', `remount,size=${mebibytes}m`, this.folder)) throw new Error('cannot grow');
  }

  remove(): void {
    spawnSync('umount', ['-l', this.folder]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function canMount(): boolean {
  const disk = SmallDisk.make(1);
  disk?.remove();
  return disk !== undefined;
}
