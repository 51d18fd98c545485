/**
 * Where each byte of a segment file stands: segment header, frame header, frame end mark.
 *
 * In: values and a view to put them into, or a view to take them from. Out: the values, or what is
 * wrong with the bytes. Nothing here touches a file. The layout is documented in
 * `docs/formats/raft-log.md`; a change of it is a new `FORMAT_VERSION`.
 */
import { crc32c } from '@node-rs/crc32';

export const FORMAT_VERSION = 1;

/** `FLTLOG1` and a line feed, so that a text-mode copy of the file is noticed. */
const SEGMENT_MAGIC: readonly number[] = [0x46, 0x4c, 0x54, 0x4c, 0x4f, 0x47, 0x31, 0x0a];
export const SEGMENT_HEADER_BYTES = 32;

/** The four bytes `F R A M` at the start of every frame. */
export const FRAME_MAGIC = 0x4d_41_52_46;
export const FRAME_MAGIC_BYTES: Uint8Array = Uint8Array.of(0x46, 0x52, 0x41, 0x4d);
export const FRAME_HEADER_BYTES = 40;
/** No byte of a mark is zero: unwritten space is all zeros, so a missing mark shows. */
const FRAME_HEADER_MARK = 0x5a_a5_3c_c3;
const FRAME_END_MARK = 0xc3_3c_a5_5a;
export const FRAME_END_BYTES = 4;

/** Offsets inside a segment are 32 bits wide. */
export const SEGMENT_BYTES_LIMIT = 2 ** 32 - 1;

const TWO_32 = 2 ** 32;

/** A safe integer as eight little-endian bytes. */
export function putU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true);
  view.setUint32(offset + 4, Math.floor(value / TWO_32), true);
}

export function getU64(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * TWO_32;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function checksum(bytes: Uint8Array, start: number, end: number): number {
  return crc32c(new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start));
}

export function encodeSegmentHeader(segment: number): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  const view = viewOf(bytes);
  bytes.set(SEGMENT_MAGIC, 0);
  view.setUint32(8, FORMAT_VERSION, true);
  view.setUint32(12, SEGMENT_HEADER_BYTES, true);
  putU64(view, 16, segment);
  view.setUint32(28, checksum(bytes, 0, 28), true);
  return bytes;
}

export type SegmentHeader =
  | { readonly kind: 'ok'; readonly segment: number }
  | { readonly kind: 'damaged'; readonly reason: string }
  | { readonly kind: 'unsupported'; readonly version: number };

export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader {
  if (bytes.length < SEGMENT_HEADER_BYTES) {
    return { kind: 'damaged', reason: 'the segment header is cut off' };
  }
  const view = viewOf(bytes);
  if (SEGMENT_MAGIC.some((byte, at) => bytes[at] !== byte)) {
    return { kind: 'damaged', reason: 'the file does not begin with the segment magic' };
  }
  if (view.getUint32(28, true) !== checksum(bytes, 0, 28)) {
    return { kind: 'damaged', reason: 'the segment header does not match its checksum' };
  }
  const version = view.getUint32(8, true);
  if (version !== FORMAT_VERSION) return { kind: 'unsupported', version };
  return { kind: 'ok', segment: getU64(view, 16) };
}

/** One frame: the unit of writing, syncing and recovery. */
export interface FrameHeader {
  /** Consecutive over all segments; starts at 1. */
  readonly sequence: number;
  readonly segment: number;
  /** Where the frame begins in its segment file. */
  readonly offset: number;
  /** Records only: without the header and the end mark. */
  readonly recordBytes: number;
}

export function frameBytes(header: FrameHeader): number {
  return FRAME_HEADER_BYTES + header.recordBytes + FRAME_END_BYTES;
}

/** Completes a frame in place: its records are already at `start + FRAME_HEADER_BYTES`. */
export function sealFrame(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  header: FrameHeader,
): void {
  const recordsStart = start + FRAME_HEADER_BYTES;
  const recordsEnd = recordsStart + header.recordBytes;
  view.setUint32(recordsEnd, FRAME_END_MARK, true);
  view.setUint32(start, FRAME_MAGIC, true);
  view.setUint32(start + 8, header.recordBytes, true);
  view.setUint32(start + 12, checksum(bytes, recordsStart, recordsEnd), true);
  putU64(view, start + 16, header.sequence);
  putU64(view, start + 24, header.segment);
  view.setUint32(start + 32, header.offset, true);
  view.setUint32(start + 36, FRAME_HEADER_MARK, true);
  view.setUint32(start + 4, checksum(bytes, start + 8, start + FRAME_HEADER_BYTES), true);
}

/** The header at `offset` if every byte of it is as written for this segment and this offset. */
export function decodeFrameHeader(
  bytes: Uint8Array,
  view: DataView,
  segment: number,
  offset: number,
): FrameHeader | undefined {
  if (offset + FRAME_HEADER_BYTES > bytes.length) return undefined;
  if (view.getUint32(offset, true) !== FRAME_MAGIC) return undefined;
  const stored = view.getUint32(offset + 4, true);
  if (stored !== checksum(bytes, offset + 8, offset + FRAME_HEADER_BYTES)) return undefined;
  const header: FrameHeader = {
    sequence: getU64(view, offset + 16),
    segment: getU64(view, offset + 24),
    offset: view.getUint32(offset + 32, true),
    recordBytes: view.getUint32(offset + 8, true),
  };
  if (header.segment !== segment || header.offset !== offset) return undefined;
  return header;
}

/** Whether records and end mark of the frame are as written. */
export function isFrameIntact(bytes: Uint8Array, view: DataView, header: FrameHeader): boolean {
  const recordsStart = header.offset + FRAME_HEADER_BYTES;
  const recordsEnd = recordsStart + header.recordBytes;
  if (recordsEnd + FRAME_END_BYTES > bytes.length) return false;
  if (view.getUint32(recordsEnd, true) !== FRAME_END_MARK) return false;
  return view.getUint32(header.offset + 12, true) === checksum(bytes, recordsStart, recordsEnd);
}

const SEGMENT_NAME = /^raft-(\d{16})\.log$/;
/** A segment under preparation; never read, deleted when the directory is opened. */
export const PREPARED_SUFFIX = '.prepared';

export function segmentFileName(segment: number): string {
  return `raft-${segment.toString().padStart(16, '0')}.log`;
}

export function parseSegmentFileName(name: string): number | undefined {
  const digits = SEGMENT_NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
