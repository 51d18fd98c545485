/**
 * Brings frames to disk, one at a time: write, fdatasync, next.
 *
 * In: a source of sealed frames. Out: a call per frame that is durable, or one call when an
 * operation failed, after which the writer never touches the files again. A frame is started only
 * after the one before it is on disk; recovery tells a torn tail from damage by that. A small frame
 * is written on the calling thread, because a hop through the thread pool costs more than the copy
 * into the page cache; a large one is written in the pool. A very small one that nothing waits behind may
 * be synced on the calling thread as well, if whoever knows what else it has to do says so.
 */
import { LogStoreError } from './errors.js';
import type { LogFile, SyncPlace } from './files.js';
import type { Frame } from './log-tail.js';
import type { Segments } from './segments.js';

/** What one or two small writes make; more of them share a sync in the pool. */
export const SYNC_HERE_BYTES_MAX = 4 * 1024;

export interface FrameWriterEvents {
  /** The next frame to write, if there is one. */
  next(): Frame | undefined;
  onDurable(frame: Frame): void;
  onFailed(frame: Frame, error: LogStoreError): void;
}

export class FrameWriter {
  private isRunning = false;
  private hasFailed = false;
  private run: Promise<void> = Promise.resolve();
  private current: Frame | undefined;

  constructor(
    private readonly segments: Segments,
    private readonly inlineWriteBytesMax: number,
    private readonly events: FrameWriterEvents,
    private readonly syncPlace: SyncPlace | undefined,
  ) {}

  /** The frame that is on its way to the disk. */
  get inFlight(): Frame | undefined {
    return this.current;
  }

  /** Writes what there is to write, unless that is going on already. */
  pump(): void {
    if (this.isRunning || this.hasFailed) return;
    const first = this.events.next();
    if (first === undefined) return;
    this.isRunning = true;
    this.run = this.writeAll(first);
  }

  /** Resolves when nothing is in flight and nothing waits. */
  async idle(): Promise<void> {
    while (this.isRunning) await this.run;
  }

  private async writeAll(first: Frame): Promise<void> {
    let frame: Frame | undefined = first;
    while (frame !== undefined) {
      this.current = frame;
      const failure = await this.writeFrame(frame);
      this.current = undefined;
      if (failure !== undefined) {
        this.hasFailed = true;
        this.events.onFailed(frame, failure);
        break;
      }
      this.events.onDurable(frame);
      frame = this.events.next();
    }
    this.isRunning = false;
  }

  private async writeFrame(frame: Frame): Promise<LogStoreError | undefined> {
    try {
      const { segment } = frame;
      const file =
        this.segments.readyFile(segment) ?? (await this.segments.fileForWriting(segment));
      if (frame.end - frame.start <= this.inlineWriteBytesMax) writeInline(file, frame);
      else await writeInPool(file, frame);
      if (!this.syncedHere(file, frame)) await file.sync();
      const end = frame.offset + (frame.end - frame.start);
      this.segments.noteWritten(segment, end);
      this.segments.prepareAhead(segment, end);
      return undefined;
    } catch (cause) {
      const path = this.segments.path(frame.segment);
      const reason = cause instanceof Error ? cause.message : String(cause);
      return new LogStoreError('io', `writing the raft log to ${path} failed: ${reason}`, {
        cause,
      });
    }
  }

  private syncedHere(file: LogFile, { start, end }: Frame): boolean {
    const { syncPlace } = this;
    if (syncPlace === undefined || end - start > SYNC_HERE_BYTES_MAX) return false;
    if (!syncPlace.isHere()) return false;
    file.syncHere();
    syncPlace.ended();
    return true;
  }
}

function writeInline(file: LogFile, frame: Frame): void {
  const { bytes, start, end, offset } = frame;
  for (let at = start; at < end;) {
    at += progress(file.writeSync(bytes, at, end, offset + (at - start)));
  }
}

async function writeInPool(file: LogFile, frame: Frame): Promise<void> {
  const { bytes, start, end, offset } = frame;
  for (let at = start; at < end;) {
    at += progress(await file.write(bytes, at, end, offset + (at - start)));
  }
}

function progress(count: number): number {
  if (count <= 0) throw new Error('the file takes no more bytes');
  return count;
}
