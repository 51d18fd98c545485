/**
 * The newest part of the log in memory, byte for byte as in the segment files.
 *
 * Frames are built here, written from here, and read back from here until their block is evicted,
 * so that appliers and followers that keep up never touch a file. In: room for records. Out: the
 * block that holds a position, if any does. A block that is not on disk yet is never evicted, and
 * a block's bytes are never reused: whoever still holds a view into one keeps it alive.
 */
import { viewOf } from './format.js';

/** What a block that a large frame fills has left: small frames that follow need none of their own. */
const LARGE_BLOCK_SLACK_BYTES = 16 * 1024;
/** Sizes of large blocks are multiples of it: what one leaves behind in the memory of the process fits the next. */
const LARGE_BLOCK_STEP_BYTES = 64 * 1024;

/** A stretch of one segment file, from `fileOffset` on, `used` bytes long. */
export class TailBlock {
  readonly view: DataView;
  used = 0;

  constructor(
    readonly segment: number,
    readonly fileOffset: number,
    readonly bytes: Uint8Array,
  ) {
    this.view = viewOf(bytes);
  }

  get fileEnd(): number {
    return this.fileOffset + this.used;
  }
}

export interface LogPosition {
  readonly segment: number;
  readonly offset: number;
}

export class TailCache {
  private readonly blocks: TailBlock[] = [];
  private bytesTotal = 0;

  constructor(
    private readonly blockBytes: number,
    private readonly cacheBytesMax: number,
  ) {}

  get bytes(): number {
    return this.bytesTotal;
  }

  /** A block that ends at the given position and has room for `room` more bytes. */
  blockAt(position: LogPosition, room: number): TailBlock {
    const last = this.blocks.at(-1);
    if (
      last !== undefined &&
      last.segment === position.segment &&
      last.fileEnd === position.offset &&
      last.used + room <= last.bytes.length
    ) {
      return last;
    }
    return this.addBlock(position, room);
  }

  /** Moves what follows `position` in the last block into a new one with room for `room` more. */
  moveTail(from: TailBlock, position: LogPosition, room: number): TailBlock {
    const start = position.offset - from.fileOffset;
    const moved = from.bytes.subarray(start, from.used);
    // Twice the room, so that a frame that keeps growing is not copied each time.
    const block = this.addBlock(position, Math.max(moved.length * 2, moved.length + room));
    block.bytes.set(moved);
    block.used = moved.length;
    from.used = start;
    if (start === 0) this.forget(from);
    return block;
  }

  /** The block with the byte at this position; undefined if it has been evicted. */
  find(segment: number, offset: number): TailBlock | undefined {
    for (let at = this.blocks.length - 1; at >= 0; at--) {
      const block = this.blocks[at];
      if (block === undefined || block.segment < segment) return undefined;
      if (block.segment > segment || offset < block.fileOffset) continue;
      return offset < block.fileEnd ? block : undefined;
    }
    return undefined;
  }

  /** Brings the cache back under its bound; `durable` is where the synced part of the log ends. */
  evict(durable: LogPosition): void {
    let evicted = 0;
    while (this.bytesTotal > this.cacheBytesMax && evicted < this.blocks.length - 1) {
      const block = this.blocks[evicted];
      if (block === undefined || !isBefore(block, durable)) break;
      this.bytesTotal -= block.bytes.length;
      evicted++;
    }
    if (evicted > 0) this.blocks.splice(0, evicted);
  }

  /** All that it held lies in another one. */
  private forget(block: TailBlock): void {
    const at = this.blocks.indexOf(block);
    if (at < 0) return;
    this.blocks.splice(at, 1);
    this.bytesTotal -= block.bytes.length;
  }

  private addBlock(position: LogPosition, room: number): TailBlock {
    // Not filled with zeros: nothing is read beyond what was written.
    const size = room > this.blockBytes ? largeBlockBytes(room) : this.blockBytes;
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(size).buffer);
    const block = new TailBlock(position.segment, position.offset, bytes);
    this.blocks.push(block);
    this.bytesTotal += bytes.length;
    return block;
  }
}

function largeBlockBytes(room: number): number {
  const steps = Math.ceil((room + LARGE_BLOCK_SLACK_BYTES) / LARGE_BLOCK_STEP_BYTES);
  return steps * LARGE_BLOCK_STEP_BYTES;
}

function isBefore(block: TailBlock, position: LogPosition): boolean {
  if (block.segment !== position.segment) return block.segment < position.segment;
  return block.fileEnd <= position.offset;
}
