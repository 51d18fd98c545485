/**
 * A disk in memory that forgets what was not synced, for tests and simulations.
 *
 * In: the log store's file operations, and faults to come. Out: after `crash`, a new disk as a power
 * cut could have left it: of everything that was not synced, each sector and each change of a
 * directory is there or not as `pick` says. Nothing here draws random numbers or tells the time.
 * As in Linux, a sync that fails leaves what it did not write readable, and takes it for clean.
 */
import { LogStoreError } from '../errors.js';
import type { DirectoryLock, LogFile, LogFiles } from '../files.js';

const SECTOR_BYTES = 512;

/** Returns an integer from 0 to `below - 1`. */
export type Pick = (below: number) => number;

export type FileOperation = 'write' | 'sync' | 'sync-directory' | 'create';

class Inode {
  content = new Uint8Array(0);
  /** As it is on disk; sectors in `dirty` differ or are not there. */
  synced = new Uint8Array(0);
  readonly dirty = new Set<number>();

  write(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length;
    if (end > this.content.length) this.content = resized(this.content, end);
    this.content.set(bytes, position);
    for (let at = position - (position % SECTOR_BYTES); at < end; at += SECTOR_BYTES) {
      this.dirty.add(at / SECTOR_BYTES);
    }
  }

  sync(): void {
    if (this.synced.length < this.content.length) {
      this.synced = resized(this.synced, this.content.length);
    }
    for (const sector of this.dirty) this.keepSector(this.synced, sector);
    this.dirty.clear();
  }

  afterCrash(pick: Pick): Inode {
    const grew = this.content.length > this.synced.length && pick(2) === 1;
    const left = resized(this.synced, grew ? this.content.length : this.synced.length);
    // Often all or nothing, as on a quiet disk; else sector by sector.
    const mode = pick(4);
    for (const sector of this.dirty) {
      if (mode === 1 || (mode > 1 && pick(2) === 1)) this.keepSector(left, sector);
    }
    const inode = new Inode();
    inode.content = left;
    inode.synced = left.slice();
    return inode;
  }

  private keepSector(target: Uint8Array, sector: number): void {
    const start = sector * SECTOR_BYTES;
    const end = Math.min(start + SECTOR_BYTES, target.length, this.content.length);
    if (start < end) target.set(this.content.subarray(start, end), start);
  }
}

function resized(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(length);
  copy.set(bytes.subarray(0, length));
  return copy;
}

export class SimulatedFiles implements LogFiles {
  private names = new Map<string, Inode>();
  /** Names as they are on disk, and the changes since the last sync of the directory, in order. */
  private syncedNames = new Map<string, Inode>();
  private nameChanges: Array<(names: Map<string, Inode>) => void> = [];
  private readonly locked = new Set<string>();
  private isDown = false;
  /** Operations of each kind so far; a fault is planned against these counts. */
  readonly counts: Record<FileOperation, number> = {
    write: 0,
    sync: 0,
    'sync-directory': 0,
    create: 0,
  };
  /** Called before an operation takes effect; what it throws is the operation's failure. */
  onOperation: (operation: FileOperation, count: number) => void = () => undefined;
  /** Awaited in every sync before it takes effect; lets a test keep a sync in flight. */
  syncGate: () => Promise<void> = () => Promise.resolve();
  /** Bytes a single write call takes at most; smaller than asked makes short writes. */
  writeBytesMax = Number.POSITIVE_INFINITY;
  /** What the disk says it has left. */
  free = Number.POSITIVE_INFINITY;

  /** The power goes: this disk answers no more, the returned one is what is left of it. */
  crash(pick: Pick): SimulatedFiles {
    this.isDown = true;
    const left = new SimulatedFiles();
    const names = new Map(this.syncedNames);
    const survived = pick(this.nameChanges.length + 1);
    for (const change of this.nameChanges.slice(0, survived)) change(names);
    for (const [name, inode] of names) left.names.set(name, inode.afterCrash(pick));
    left.syncedNames = new Map(left.names);
    return left;
  }

  /** A file as it lies on disk, as though it had always been like that. */
  place(path: string, bytes: Uint8Array): void {
    const inode = new Inode();
    // Not `slice`: that of a Buffer is a view, and its owner would see what is written here.
    inode.content = resized(bytes, bytes.length);
    inode.synced = resized(bytes, bytes.length);
    this.names.set(path, inode);
    this.syncedNames.set(path, inode);
  }

  /** The bytes of a file as a reader sees them; for tests that look at or change them. */
  contentOf(path: string): Uint8Array {
    return this.inode(path).content;
  }

  async ensureDirectory(_directory: string): Promise<void> {
    this.refuseIfDown();
  }

  list(directory: string): readonly string[] {
    const prefix = `${directory}/`;
    const inside = [...this.names.keys()].filter((path) => path.startsWith(prefix));
    return inside.map((path) => path.slice(prefix.length));
  }

  async lock(directory: string): Promise<DirectoryLock> {
    if (this.locked.has(directory)) throw new LogStoreError('locked', `${directory} is in use`);
    this.locked.add(directory);
    return {
      release: async () => {
        this.locked.delete(directory);
      },
    };
  }

  create(path: string): LogFile {
    this.begin('create');
    const inode = new Inode();
    this.changeNames((names) => names.set(path, inode));
    return this.fileOf(inode);
  }

  open(path: string): LogFile {
    this.refuseIfDown();
    return this.fileOf(this.inode(path));
  }

  rename(from: string, to: string): void {
    this.refuseIfDown();
    const inode = this.inode(from);
    this.changeNames((names) => {
      names.delete(from);
      names.set(to, inode);
    });
  }

  remove(path: string): void {
    this.refuseIfDown();
    if (this.names.has(path)) this.changeNames((names) => names.delete(path));
  }

  freeBytes(_directory: string): number {
    return this.free;
  }

  async syncDirectory(_directory: string): Promise<void> {
    this.begin('sync-directory');
    const changes = this.nameChanges.length;
    await this.syncGate();
    this.refuseIfDown();
    for (const change of this.nameChanges.splice(0, changes)) change(this.syncedNames);
  }

  private inode(path: string): Inode {
    const inode = this.names.get(path);
    if (inode === undefined) throw new Error(`ENOENT: ${path}`);
    return inode;
  }

  private changeNames(change: (names: Map<string, Inode>) => void): void {
    change(this.names);
    this.nameChanges.push(change);
  }

  private begin(operation: FileOperation): void {
    this.refuseIfDown();
    this.counts[operation]++;
    this.onOperation(operation, this.counts[operation]);
  }

  private refuseIfDown(): void {
    if (this.isDown) throw new Error('EIO: the power is off');
  }

  private fileOf(inode: Inode): LogFile {
    const write = (bytes: Uint8Array, start: number, end: number, position: number): number => {
      this.begin('write');
      const taken = bytes.slice(start, Math.min(end, start + this.writeBytesMax));
      inode.write(taken, position);
      return taken.length;
    };
    const read = (bytes: Uint8Array, position: number): number => {
      this.refuseIfDown();
      const found = inode.content.subarray(position, position + bytes.length);
      bytes.set(found);
      return found.length;
    };
    return {
      writeSync: write,
      write: async (bytes, start, end, position) => write(bytes, start, end, position),
      sync: async () => {
        try {
          this.begin('sync');
          await this.syncGate();
        } catch (error) {
          inode.dirty.clear();
          throw error;
        }
        this.refuseIfDown();
        inode.sync();
      },
      syncHere: () => {
        try {
          this.begin('sync');
        } catch (error) {
          inode.dirty.clear();
          throw error;
        }
        inode.sync();
      },
      readSync: read,
      read: async (bytes, position) => read(bytes, position),
      sizeBytes: () => inode.content.length,
      close: () => undefined,
    };
  }
}
