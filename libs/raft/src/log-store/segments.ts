/**
 * The segment files of a store: which there are, how many live entries each holds, reading from
 * them, and making the next one ready before it is needed.
 *
 * A segment gets its final name only when it is complete (header, zeros up to its size, synced) and
 * all frames before it are on disk; recovery relies on both. Preparing ahead may fail without harm,
 * it is tried again when the segment is needed.
 */
import { join } from 'node:path';

import type { SegmentUse } from './entry-table.js';
import { LogStoreError } from './errors.js';
import type { LogFile, LogFiles } from './files.js';
import { encodeSegmentHeader, PREPARED_SUFFIX, segmentFileName } from './format.js';

const ZEROS = new Uint8Array(1024 * 1024);

interface Segment {
  readonly sequence: number;
  sizeBytes: number;
  liveEntries: number;
  /** Entries here were overwritten from a later place; see `droppable`. */
  hasTruncatedEntries: boolean;
}

export interface SegmentsOptions {
  readonly files: LogFiles;
  readonly directory: string;
  readonly segmentBytesMax: number;
  readonly readHandlesMax: number;
}

export class Segments implements SegmentUse {
  private readonly bySequence = new Map<number, Segment>();
  private readonly readHandles = new Map<number, LogFile>();
  private writeHandle: { readonly sequence: number; readonly file: LogFile } | undefined;
  private prepared: { readonly sequence: number; readonly file: Promise<LogFile> } | undefined;
  readCount = 0;
  /** Why the next segment could not be made ready ahead; undefined if it could, or is not due. */
  aheadFailure: string | undefined;

  constructor(private readonly options: SegmentsOptions) {}

  get count(): number {
    return this.bySequence.size;
  }

  /** In ascending order. */
  sequences(): number[] {
    return [...this.bySequence.keys()];
  }

  bytes(): number {
    let total = 0;
    for (const segment of this.bySequence.values()) total += segment.sizeBytes;
    return total;
  }

  path(sequence: number): string {
    return join(this.options.directory, segmentFileName(sequence));
  }

  /** Sequences are added in ascending order. */
  add(sequence: number, sizeBytes: number): void {
    const fresh = { sequence, sizeBytes, liveEntries: 0, hasTruncatedEntries: false };
    this.bySequence.set(sequence, fresh);
  }

  /** The segment is no longer in use; returns the size of the file that is left to delete. */
  forget(sequence: number): number {
    const sizeBytes = this.bySequence.get(sequence)?.sizeBytes ?? 0;
    this.bySequence.delete(sequence);
    return sizeBytes;
  }

  addLive(sequence: number, count: number): void {
    const segment = this.bySequence.get(sequence);
    if (segment !== undefined) segment.liveEntries += count;
  }

  markTruncated(sequence: number): void {
    const segment = this.bySequence.get(sequence);
    if (segment !== undefined) segment.hasTruncatedEntries = true;
  }

  liveEntries(): number {
    let total = 0;
    for (const segment of this.bySequence.values()) total += segment.liveEntries;
    return total;
  }

  /**
   * Segments before `writing` without a live entry. One with overwritten entries stays until all
   * before it go too: without it, recovery could not tell entries that were overwritten after it
   * from entries that follow a compacted stretch.
   */
  droppable(writing: number): number[] {
    const found: number[] = [];
    let allBefore = true;
    for (const segment of this.bySequence.values()) {
      if (segment.sequence >= writing) break;
      const drop = segment.liveEntries === 0 && (allBefore || !segment.hasTruncatedEntries);
      if (drop) found.push(segment.sequence);
      else allBefore = false;
    }
    return found;
  }

  deleteFile(sequence: number): void {
    this.readHandles.get(sequence)?.close();
    this.readHandles.delete(sequence);
    this.options.files.remove(this.path(sequence));
  }

  /** Fills `bytes` from the segment; a file that is too short is damage. */
  read(sequence: number, bytes: Uint8Array, position: number): void {
    this.readCount++;
    const file = this.handleFor(sequence);
    let filled = 0;
    while (filled < bytes.length) {
      const count = this.readSome(sequence, file, bytes.subarray(filled), position + filled);
      if (count === 0) {
        throw new LogStoreError(
          'corrupt',
          `${this.path(sequence)} ends before byte ${position + bytes.length}: it was cut`,
        );
      }
      filled += count;
    }
  }

  /**
   * The same off the calling thread, through a descriptor of its own: those that are shared may be
   * closed, and their numbers given to other files, while the read is under way.
   */
  async readLater(sequence: number, bytes: Uint8Array, position: number): Promise<void> {
    this.readCount++;
    const path = this.path(sequence);
    let file: LogFile | undefined;
    try {
      file = this.options.files.open(path);
      for (let filled = 0; filled < bytes.length;) {
        const count = await file.read(bytes.subarray(filled), position + filled);
        if (count === 0) throw new Error('it was cut');
        filled += count;
      }
    } catch (cause) {
      throw readFailed(path, position, cause);
    } finally {
      file?.close();
    }
  }

  private readSome(sequence: number, file: LogFile, bytes: Uint8Array, position: number): number {
    try {
      return file.readSync(bytes, position);
    } catch (cause) {
      throw readFailed(this.path(sequence), position, cause);
    }
  }

  /** The file to write this segment's frames to; creates it if the log has just moved on to it. */
  async fileForWriting(sequence: number): Promise<LogFile> {
    if (this.writeHandle?.sequence === sequence) return this.writeHandle.file;
    const prepared = this.prepared?.sequence === sequence ? this.prepared.file : undefined;
    this.prepared = undefined;
    let file: LogFile;
    try {
      file = await (prepared ?? this.prepare(sequence));
    } catch (error) {
      if (prepared === undefined) throw error;
      file = await this.prepare(sequence);
    }
    const { files, directory } = this.options;
    try {
      files.rename(this.path(sequence) + PREPARED_SUFFIX, this.path(sequence));
      await files.syncDirectory(directory);
    } catch (error) {
      file.close();
      throw error;
    }
    this.useForWriting(sequence, file);
    this.aheadFailure = undefined;
    return file;
  }

  /** The file if it is already there, so that the common case needs no turn of the loop. */
  readyFile(sequence: number): LogFile | undefined {
    return this.writeHandle?.sequence === sequence ? this.writeHandle.file : undefined;
  }

  useForWriting(sequence: number, file: LogFile): void {
    const before = this.writeHandle;
    this.writeHandle = { sequence, file };
    const segment = this.bySequence.get(sequence);
    if (segment !== undefined) segment.sizeBytes = file.sizeBytes();
    if (before !== undefined) before.file.close();
  }

  noteWritten(sequence: number, end: number): void {
    const segment = this.bySequence.get(sequence);
    if (segment !== undefined && end > segment.sizeBytes) segment.sizeBytes = end;
  }

  /** Starts to make the next segment ready, once the one being written is half full. */
  prepareAhead(sequence: number, writtenTo: number): void {
    if (writtenTo * 2 < this.options.segmentBytesMax) return;
    if (this.prepared?.sequence === sequence + 1) return;
    const file = this.prepareIfRoom(sequence + 1);
    this.prepared = { sequence: sequence + 1, file };
    // Whoever needs the segment sees the failure and tries again; until then nobody waits for it.
    file.catch((error: unknown) => {
      this.aheadFailure = error instanceof Error ? error.message : String(error);
    });
  }

  /** Idempotent. */
  async close(): Promise<void> {
    const ahead = this.prepared;
    this.prepared = undefined;
    if (ahead !== undefined) {
      // Why there is no file was noted when it was asked for; there is only nothing to close then.
      const file = await ahead.file.catch(() => undefined);
      file?.close();
      this.options.files.remove(this.path(ahead.sequence) + PREPARED_SUFFIX);
    }
    this.writeHandle?.file.close();
    this.writeHandle = undefined;
    for (const file of this.readHandles.values()) file.close();
    this.readHandles.clear();
  }

  /** Trying without room would fill the disk for a moment, and fail others that write to it. */
  private async prepareIfRoom(sequence: number): Promise<LogFile> {
    const { files, directory, segmentBytesMax } = this.options;
    const freeBytes = files.freeBytes(directory);
    if (freeBytes >= segmentBytesMax) return this.prepare(sequence);
    const text = `a segment takes ${segmentBytesMax} bytes, and ${freeBytes} are free in ${directory}`;
    throw new LogStoreError('io', text);
  }

  private async prepare(sequence: number): Promise<LogFile> {
    const path = this.path(sequence) + PREPARED_SUFFIX;
    const file = this.options.files.create(path);
    try {
      await writeFully(file, encodeSegmentHeader(sequence), 0);
      const headerBytes = file.sizeBytes();
      await extendWithZeros(file, headerBytes, this.options.segmentBytesMax);
      await file.sync();
      return file;
    } catch (error) {
      file.close();
      // Half a file would keep room that others on a full disk need.
      this.options.files.remove(path);
      throw error;
    }
  }

  private handleFor(sequence: number): LogFile {
    if (this.writeHandle?.sequence === sequence) return this.writeHandle.file;
    const known = this.readHandles.get(sequence);
    if (known !== undefined) {
      // Last used goes to the end: the first one is the one to close.
      this.readHandles.delete(sequence);
      this.readHandles.set(sequence, known);
      return known;
    }
    const opened = this.options.files.open(this.path(sequence));
    this.readHandles.set(sequence, opened);
    if (this.readHandles.size > this.options.readHandlesMax) {
      for (const [oldest, file] of this.readHandles) {
        this.readHandles.delete(oldest);
        file.close();
        break;
      }
    }
    return opened;
  }
}

/** The operating system does not say which file it was. */
export function readFailed(path: string, position: number, cause: unknown): LogStoreError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const text = `${path} cannot be read at byte ${position}: ${reason}. Check the disk`;
  return new LogStoreError('io', text, { cause });
}

/** Writes zeros from `from` to `to`; a file that is longer stays as it is. */
export async function extendWithZeros(file: LogFile, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += ZEROS.length) {
    await writeFully(file, ZEROS.subarray(0, Math.min(ZEROS.length, to - at)), at);
  }
}

export async function writeFully(file: LogFile, bytes: Uint8Array, at: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const count = await file.write(bytes, written, bytes.length, at + written);
    if (count <= 0) throw new LogStoreError('io', 'a write made no progress');
    written += count;
  }
}
