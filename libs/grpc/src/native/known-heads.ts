/**
 * Heads of requests that come again: a block of mere indexes means the same until the table changes,
 * so it is looked up by its bytes instead of being decoded.
 *
 * Must never answer with what a block meant before the table or the registrations changed.
 */
import { type HpackDecoder } from '../http2/hpack-decoder.js';
import { type MethodTable } from '../server/method-table.js';
import { resolveCall, type Resolution } from './call-target.js';
import { RequestHeadBuilder, type RequestHead } from './request-head.js';

export interface KnownHead {
  readonly head: RequestHead;
  readonly resolution: Resolution;
}

const BLOCK_BYTES_MAX = 32;
const HEADS_MAX = 64;
const INDEXED = 0x80;

export class KnownHeads {
  private readonly kept = new Map<string, KnownHead>();
  private readonly builder = new RequestHeadBuilder();
  private decoderVersion = -1;
  private tableVersion = -1;

  constructor(
    private readonly decoder: HpackDecoder,
    private readonly table: MethodTable,
  ) {}

  /** Throws Http2Error when the block is damaged. */
  read(block: Buffer, from: number, to: number): KnownHead {
    const isShort = to - from <= BLOCK_BYTES_MAX && (block[from] ?? 0) >= INDEXED;
    if (!isShort) return this.decode(block, from, to);
    if (
      this.decoderVersion !== this.decoder.version ||
      this.tableVersion !== this.table.version ||
      this.kept.size >= HEADS_MAX
    ) {
      this.kept.clear();
      this.decoderVersion = this.decoder.version;
      this.tableVersion = this.table.version;
    }
    const key = block.toString('latin1', from, to);
    const known = this.kept.get(key);
    if (known) return known;
    const decoded = this.decode(block, from, to);
    if (this.decoder.onlyIndexed) this.kept.set(key, decoded);
    return decoded;
  }

  private decode(block: Buffer, from: number, to: number): KnownHead {
    this.builder.begin();
    this.decoder.decode(block, from, to, this.builder);
    const head = this.builder.end();
    return { head, resolution: resolveCall(head, this.table) };
  }
}
