/**
 * Decides what bytes that are no intact frame mean: the end of the log, an unfinished last write,
 * or damage.
 *
 * In: a segment's bytes and the place where a frame was expected. Out: a verdict; nothing is changed
 * here. The reasoning rests on one rule of the writer: a frame is started only after the one before
 * it is on disk. So at most the very last frame can be unfinished, and an unfinished frame leaves
 * space as it was before: past the end of the file, or zeros. See `docs/formats/raft-log.md`.
 */
import {
  decodeFrameHeader,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC_BYTES,
  type FrameHeader,
  frameBytes,
} from './format.js';

/** The unit a disk writes as a whole. */
const SECTOR_BYTES = 512;
const ZEROS = Buffer.alloc(64 * 1024);

export type TailVerdict =
  /** Nothing was written from here on. */
  | { readonly kind: 'end' }
  /** The last write did not finish; it was never acknowledged. Zeros follow from `endOffset`. */
  | { readonly kind: 'torn'; readonly endOffset: number }
  /** A frame that was written completely does not match its checksum; nothing follows it. */
  | { readonly kind: 'damaged-last'; readonly endOffset: number; readonly reason: string }
  /** Something that was on disk before is damaged: later writes follow. */
  | { readonly kind: 'damaged'; readonly reason: string };

export function judgeTail(
  bytes: Uint8Array,
  view: DataView,
  segment: number,
  offset: number,
  sequence: number,
): TailVerdict {
  const endOffset = endOfData(bytes, offset);
  if (endOffset === offset) return { kind: 'end' };
  const header = decodeFrameHeader(bytes, view, segment, offset);
  if (header !== undefined && header.sequence !== sequence) {
    return {
      kind: 'damaged',
      reason: `frame ${sequence} was expected, frame ${header.sequence} is there`,
    };
  }
  const later = findLaterFrame(bytes, view, segment, offset, sequence);
  if (later !== undefined) {
    return {
      kind: 'damaged',
      reason: `frame ${sequence} is damaged, and frame ${later.sequence} follows at byte ${later.offset}`,
    };
  }
  const frameEnd = offset + (header === undefined ? FRAME_HEADER_BYTES : frameBytes(header));
  if (header !== undefined && endOffset > frameEnd) {
    return {
      kind: 'damaged',
      reason: `frame ${sequence} is damaged, and data follows its end at byte ${frameEnd}`,
    };
  }
  if (hasUnwrittenPart(bytes, offset, frameEnd)) return { kind: 'torn', endOffset };
  const part = header === undefined ? 'header' : 'body';
  return {
    kind: 'damaged-last',
    endOffset,
    reason: `the ${part} of frame ${sequence}, the last one, is complete and does not match its checksum`,
  };
}

/** Offset after the last byte that is not zero; `from` if there is none. */
export function endOfData(bytes: Uint8Array, from: number): number {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = bytes.length;
  while (end > from) {
    const start = Math.max(from, end - ZEROS.length);
    if (ZEROS.compare(buffer, start, end, 0, end - start) !== 0) break;
    end = start;
  }
  while (end > from && bytes[end - 1] === 0) end--;
  return end;
}

/** A later frame's header anywhere behind `offset`; its checksum covers its own place. */
function findLaterFrame(
  bytes: Uint8Array,
  view: DataView,
  segment: number,
  offset: number,
  sequence: number,
): FrameHeader | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = buffer.indexOf(FRAME_MAGIC_BYTES, offset + 1);
  while (at >= 0) {
    const header = decodeFrameHeader(bytes, view, segment, at);
    if (header !== undefined && header.sequence > sequence) return header;
    at = buffer.indexOf(FRAME_MAGIC_BYTES, at + 1);
  }
  return undefined;
}

/**
 * Whether part of the stretch looks as it did before it was written: cut off, without its last
 * byte (which is never zero once written), or with a sector of zeros.
 */
function hasUnwrittenPart(bytes: Uint8Array, start: number, end: number): boolean {
  if (end > bytes.length || bytes[end - 1] === 0) return true;
  for (let at = start; at < end;) {
    const next = Math.min(end, at - (at % SECTOR_BYTES) + SECTOR_BYTES);
    if (bytes.subarray(at, next).every((byte) => byte === 0)) return true;
    at = next;
  }
  return false;
}
