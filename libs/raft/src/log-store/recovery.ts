/**
 * Reads a log directory back when it is opened.
 *
 * In: the directory's segment files and empty collections. Out: the groups and segments as they
 * were, where to go on writing, and a report. An unfinished last write is cut off and the space
 * behind it made zero again; damage anywhere else ends with an error that says where and what to do.
 * What was read is not taken to be on disk: the last frame and the directory are written once more.
 * A file is deleted only if the log itself says that it is no longer in use.
 */
import { join } from 'node:path';

import { LogStoreError } from './errors.js';
import type { LogFile, LogFiles } from './files.js';
import {
  decodeFrameHeader,
  decodeSegmentHeader,
  FORMAT_VERSION,
  frameBytes,
  isFrameIntact,
  parseSegmentFileName,
  PREPARED_SUFFIX,
  SEGMENT_HEADER_BYTES,
  segmentFileName,
  viewOf,
} from './format.js';
import type { GroupDirectory } from './group-directory.js';
import type { LogTailStart } from './log-tail.js';
import { Replay } from './replay.js';
import { extendWithZeros, readFailed, type Segments, writeFully } from './segments.js';
import { judgeTail, type TailVerdict } from './tail-damage.js';
import type { RecoveryReport } from './types.js';

export interface RecoveryInput {
  readonly files: LogFiles;
  readonly directory: string;
  readonly segmentBytesMax: number;
  readonly damagedLastFrame: 'refuse' | 'cut';
  readonly createIfMissing: boolean;
  readonly segments: Segments;
  readonly groups: GroupDirectory;
}

export interface RecoveryResult {
  readonly start: LogTailStart;
  readonly report: RecoveryReport;
}

export async function recover(input: RecoveryInput): Promise<RecoveryResult> {
  const { files, directory, segments } = input;
  const found: number[] = [];
  for (const name of files.list(directory)) {
    const sequence = parseSegmentFileName(name);
    if (sequence !== undefined) found.push(sequence);
    // Nothing was ever written to it: a prepared segment gets its name before its first frame.
    else if (name.endsWith(PREPARED_SUFFIX)) files.remove(join(directory, name));
  }
  found.sort((left, right) => left - right);
  const last = found.at(-1);
  if (last === undefined) {
    if (!input.createIfMissing) {
      throw new LogStoreError(
        'corrupt',
        `the raft log is gone: there is none in ${directory}. If a disk is not mounted, mount it; if ` +
          'the log is lost, replace the node, because it has forgotten what it voted for',
      );
    }
    segments.add(1, 0);
    await segments.fileForWriting(1);
    return {
      start: { position: { segment: 1, offset: SEGMENT_HEADER_BYTES }, nextSequence: 1 },
      report: {
        segments: 1,
        frames: 0,
        entriesScanned: 0,
        cutBytes: 0,
        cutAt: undefined,
      },
    };
  }
  return new RecoveryScan(input, found, last).run();
}

class RecoveryScan {
  private readonly replay: Replay;
  private buffer = new Uint8Array(0);
  private frames = 0;
  private sequence = 0;
  private endOffset = SEGMENT_HEADER_BYTES;
  /** Where the last intact frame of the segment begins. */
  private lastFrameOffset = SEGMENT_HEADER_BYTES;
  private cutBytes = 0;
  private cutAt: RecoveryReport['cutAt'];

  constructor(
    private readonly input: RecoveryInput,
    private readonly found: readonly number[],
    private readonly last: number,
  ) {
    this.replay = new Replay(input.groups);
  }

  async run(): Promise<RecoveryResult> {
    const { segments } = this.input;
    let previous = 0;
    for (const segment of this.found) {
      const file = this.openSegment(segment);
      let keepsOpen = false;
      try {
        const size = file.sizeBytes();
        segments.add(segment, size);
        const bytes = await this.readAll(segment, file, size);
        this.checkHeader(segment, bytes);
        const verdict = this.scan(segment, bytes, segment === previous + 1);
        if (segment === this.last) {
          await this.endLast(segment, file, bytes, verdict);
          keepsOpen = true;
        } else this.endEarlier(segment, verdict);
      } finally {
        if (!keepsOpen) file.close();
      }
      previous = segment;
    }
    this.buffer = new Uint8Array(0);
    await this.settleSegments();
    const problem = this.replay.finish();
    if (problem !== undefined) throw this.corrupt(this.last, this.endOffset, problem);
    const { frames, cutBytes, cutAt } = this;
    const { entriesScanned } = this.replay;
    return {
      start: {
        position: { segment: this.last, offset: this.endOffset },
        nextSequence: this.sequence + 1,
      },
      report: {
        segments: segments.count,
        frames,
        entriesScanned,
        cutBytes,
        cutAt,
      },
    };
  }

  private openSegment(segment: number): LogFile {
    const path = this.pathOf(segment);
    try {
      return this.input.files.open(path);
    } catch (cause) {
      throw new LogStoreError('io', `cannot open ${path}`, { cause });
    }
  }

  private async readAll(segment: number, file: LogFile, size: number): Promise<Uint8Array> {
    if (this.buffer.length < size) this.buffer = new Uint8Array(size);
    const bytes = this.buffer.subarray(0, size);
    let filled = 0;
    while (filled < size) {
      const count = await file.read(bytes.subarray(filled), filled).catch((cause: unknown) => {
        throw readFailed(this.pathOf(segment), filled, cause);
      });
      if (count === 0) {
        throw new LogStoreError('io', `${this.pathOf(segment)} shrank while it was read`);
      }
      filled += count;
    }
    return bytes;
  }

  private checkHeader(segment: number, bytes: Uint8Array): void {
    const header = decodeSegmentHeader(bytes);
    if (header.kind === 'damaged') throw this.corrupt(segment, 0, header.reason);
    if (header.kind === 'unsupported') {
      throw new LogStoreError(
        'unsupported-version',
        `${this.pathOf(segment)} has format version ${header.version}, this program reads ` +
          `version ${FORMAT_VERSION}: start the version of Flotilla that wrote it`,
      );
    }
    if (header.segment !== segment) {
      throw this.corrupt(segment, 0, `the file is segment ${header.segment} under another name`);
    }
  }

  /** Applies the frames of a segment; `endOffset` is left after the last intact one. */
  private scan(segment: number, bytes: Uint8Array, followsPrevious: boolean): TailVerdict {
    const view = viewOf(bytes);
    let offset = SEGMENT_HEADER_BYTES;
    this.lastFrameOffset = offset;
    for (;;) {
      const frame = decodeFrameHeader(bytes, view, segment, offset);
      // After dropped segments, and in the oldest one, the first frame says where counting goes on.
      const resumes = offset === SEGMENT_HEADER_BYTES && !(followsPrevious && this.sequence > 0);
      const expected = resumes && frame !== undefined ? frame.sequence : this.sequence + 1;
      const isNext = frame !== undefined && frame.sequence === expected && expected > this.sequence;
      if (!isNext || !isFrameIntact(bytes, view, frame)) {
        this.endOffset = offset;
        return judgeTail(bytes, view, segment, offset, expected);
      }
      const problem = this.replay.applyFrame(view, frame);
      if (problem !== undefined) throw this.corrupt(segment, offset, problem);
      this.sequence = frame.sequence;
      this.frames++;
      this.lastFrameOffset = offset;
      offset += frameBytes(frame);
    }
  }

  private endEarlier(segment: number, verdict: TailVerdict): void {
    if (verdict.kind === 'end' && this.endOffset > SEGMENT_HEADER_BYTES) return;
    const reason =
      verdict.kind === 'damaged' || verdict.kind === 'damaged-last'
        ? verdict.reason
        : `frame ${this.sequence + 1} is incomplete`;
    throw this.corrupt(segment, this.endOffset, `${reason}, and later segments follow`);
  }

  private async endLast(
    segment: number,
    file: LogFile,
    bytes: Uint8Array,
    verdict: TailVerdict,
  ): Promise<void> {
    if (verdict.kind === 'damaged') throw this.corrupt(segment, this.endOffset, verdict.reason);
    if (verdict.kind === 'damaged-last' && this.input.damagedLastFrame === 'refuse') {
      throw this.damagedLast(segment, verdict.reason);
    }
    if (this.endOffset === SEGMENT_HEADER_BYTES) this.replay.addEmptySegment(segment);
    const size = file.sizeBytes();
    try {
      if (verdict.kind !== 'end') {
        this.cutBytes = verdict.endOffset - this.endOffset;
        this.cutAt = { file: this.pathOf(segment), offset: this.endOffset };
        await extendWithZeros(file, this.endOffset, verdict.endOffset);
      }
      await extendWithZeros(file, size, this.input.segmentBytesMax);
      // The last frame may be in the page cache only, and a kernel that failed to sync it before takes
      // it for clean: a sync alone would write nothing. All frames before it are on disk.
      const lastFrame = bytes.subarray(this.lastFrameOffset, this.endOffset);
      await writeFully(file, lastFrame, this.lastFrameOffset);
      await file.sync();
      await this.input.files.syncDirectory(this.input.directory);
    } catch (cause) {
      const path = this.pathOf(segment);
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new LogStoreError('io', `cannot tidy up ${path}: ${reason}`, { cause });
    }
    this.input.segments.useForWriting(segment, file);
  }

  /** Checks that all segments in use are there, and deletes those a drop has left behind. */
  private async settleSegments(): Promise<void> {
    const { files, directory, segments } = this.input;
    const present = new Set(this.found);
    for (const needed of this.replay.inUse) {
      if (!present.has(needed)) {
        throw this.corrupt(needed, 0, 'the file is missing, and the log says that it is in use');
      }
    }
    const leftovers = this.found.filter((segment) => !this.replay.inUse.has(segment));
    for (const segment of leftovers) {
      segments.forget(segment);
      segments.deleteFile(segment);
    }
    if (leftovers.length > 0) await files.syncDirectory(directory);
  }

  private pathOf(segment: number): string {
    return join(this.input.directory, segmentFileName(segment));
  }

  private corrupt(segment: number, offset: number, reason: string): LogStoreError {
    return new LogStoreError(
      'corrupt',
      `the raft log is damaged: ${this.pathOf(segment)} at byte ${offset}: ${reason}. Data that was ` +
        'acknowledged may be affected, so the node does not start. Keep the directory for analysis; ' +
        'check the disk; then give the node an empty data directory and let it rejoin, so that the ' +
        'other replicas bring it up to date, or restore a backup if there are none',
    );
  }

  private damagedLast(segment: number, reason: string): LogStoreError {
    return new LogStoreError(
      'corrupt',
      `the raft log is damaged: ${this.pathOf(segment)} at byte ${this.endOffset}: ${reason}. A write ` +
        'that was merely interrupted leaves a gap, and there is none, so this one may have been ' +
        'acknowledged. With other replicas: keep the directory, give the node an empty one and let ' +
        'it rejoin. Alone, and if losing this one write is acceptable: recover the node, and accept ' +
        'that loss, which cuts it off',
    );
  }
}
