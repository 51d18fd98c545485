/**
 * The file operations the log store needs, as a port: the real ones are in `node-files.ts`; tests
 * bring ones that fail, tear or lose what was not synced.
 *
 * An implementation must never report a sync as done that is not, and must report a short write by
 * its count. Writes and syncs of one file are never started while another is under way.
 */

export interface LogFile {
  /** Writes on the calling thread; returns the count of bytes written. */
  writeSync(bytes: Uint8Array, start: number, end: number, position: number): number;
  /** Writes off the calling thread; resolves to the count of bytes written. */
  write(bytes: Uint8Array, start: number, end: number, position: number): Promise<number>;
  /** Resolves when everything written to this file so far survives a power cut. */
  sync(): Promise<void>;
  /** The same on the calling thread, which does nothing else meanwhile; throws what `sync` rejects with. */
  syncHere(): void;
  /** Reads up to `bytes.length` bytes at `position`; returns the count, 0 at the end. */
  readSync(bytes: Uint8Array, position: number): number;
  /** The same off the calling thread; for whole segments when a directory is opened. */
  read(bytes: Uint8Array, position: number): Promise<number>;
  sizeBytes(): number;
  /** Idempotent. */
  close(): void;
}

/**
 * Decides where a small write that nothing waits behind is waited for: off the calling thread, or on
 * it, which saves the way there and back and lets everything else of the process wait for the disk.
 */
export interface SyncPlace {
  /** Asked before each such sync. */
  isHere(): boolean;
  /** A sync on the calling thread has ended. */
  ended(): void;
}

export interface DirectoryLock {
  /** Idempotent. */
  release(): Promise<void>;
}

export interface LogFiles {
  /** Makes the directory and its parents if they are missing, durably. */
  ensureDirectory(directory: string): Promise<void>;
  /** Plain names of the files in the directory, in no order. */
  list(directory: string): readonly string[];
  /**
   * Takes the directory for this store alone. The lock ends with the process, however it ends.
   * Rejects with LogStoreError `locked`.
   */
  lock(directory: string): Promise<DirectoryLock>;
  /** Creates an empty file; an existing one of that name is emptied. */
  create(path: string): LogFile;
  /** Opens an existing file for reading and writing. */
  open(path: string): LogFile;
  /** A file that is open stays usable under its new name. */
  rename(from: string, to: string): void;
  /** A missing file is no error. */
  remove(path: string): void;
  /** Bytes that may still be written on the file system of the directory. */
  freeBytes(directory: string): number;
  /** Resolves when creations, renames and removals in the directory survive a power cut. */
  syncDirectory(directory: string): Promise<void>;
}
