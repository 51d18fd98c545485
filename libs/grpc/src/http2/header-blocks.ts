/**
 * Joins HEADERS and its CONTINUATIONs to one block, without padding and priority.
 *
 * Must never collect a block beyond its bound, nor count on the end of one that has none.
 */
import { ErrorCode, Flag, FrameType, Http2Error, protocolError } from './constants.js';
import { CONTINUATIONS_MAX, HEADER_BLOCK_BYTES_MAX } from './limits.js';

const PRIORITY_BYTES = 5;

export class HeaderBlocks {
  /** The block is `bytes[from..to)`. */
  bytes: Buffer = Buffer.alloc(0);
  from = 0;
  to = 0;
  /** The stream ends with it. */
  isLast = false;
  /** Blocks that ever began. */
  begun = 0;
  private pieces: Buffer[] = [];
  private length = 0;
  private streamId = 0;

  /** A block has begun and not ended. */
  get isOpen(): boolean {
    return this.streamId !== 0;
  }

  continues(type: number, streamId: number): boolean {
    return type === FrameType.Continuation && streamId === this.streamId;
  }

  /** True when the block is whole. Throws Http2Error. */
  add(
    type: number,
    flags: number,
    streamId: number,
    bytes: Buffer,
    from: number,
    to: number,
  ): boolean {
    let start = from;
    let end = to;
    if (type === FrameType.Headers) {
      if (streamId === 0) throw protocolError('HEADERS on stream 0');
      this.begun++;
      this.isLast = (flags & Flag.EndStream) !== 0;
      if ((flags & Flag.Padded) !== 0) {
        end -= bytes[start++] ?? 0;
        if (to === from || end < start) throw protocolError('more padding than payload');
      }
      if ((flags & Flag.Priority) !== 0) {
        if (end - start < PRIORITY_BYTES) {
          throw new Http2Error(ErrorCode.FrameSizeError, 'a header block without its priority');
        }
        // The block will not be decoded: this is not an error of the stream alone.
        if (dependsOnItself(streamId, bytes, start)) throw protocolError(SELF_DEPENDENCY);
        start += PRIORITY_BYTES;
      }
    } else if (!this.isOpen) throw protocolError('CONTINUATION without HEADERS');
    const isWhole = (flags & Flag.EndHeaders) !== 0;
    if (isWhole && !this.isOpen) {
      this.set(bytes, start, end);
      return true;
    }
    this.keep(bytes.subarray(start, end), streamId);
    if (!isWhole) return false;
    this.set(Buffer.concat(this.pieces), 0, this.length);
    this.pieces = [];
    this.length = 0;
    this.streamId = 0;
    return true;
  }

  /** Priorities are ignored, but not what they may not say. */
  checkPriority(streamId: number, bytes: Buffer, from: number, to: number): void {
    if (streamId === 0) throw protocolError('PRIORITY on stream 0');
    if (to - from !== PRIORITY_BYTES) {
      throw new Http2Error(ErrorCode.FrameSizeError, 'a PRIORITY of another size', streamId);
    }
    if (dependsOnItself(streamId, bytes, from)) {
      throw new Http2Error(ErrorCode.ProtocolError, SELF_DEPENDENCY, streamId);
    }
  }

  private keep(piece: Buffer, streamId: number): void {
    this.streamId = streamId;
    // A copy: a view would hold the whole chunk that it came in.
    this.pieces.push(Buffer.from(piece));
    this.length += piece.length;
    if (this.length > HEADER_BLOCK_BYTES_MAX || this.pieces.length > CONTINUATIONS_MAX) {
      throw new Http2Error(ErrorCode.EnhanceYourCalm, 'a header block is too long');
    }
  }

  private set(bytes: Buffer, from: number, to: number): void {
    this.bytes = bytes;
    this.from = from;
    this.to = to;
  }
}

const SELF_DEPENDENCY = 'a stream depends on itself';

function dependsOnItself(streamId: number, bytes: Buffer, at: number): boolean {
  return (bytes.readUInt32BE(at) & 0x7fff_ffff) === streamId;
}
