/**
 * Reads that may take long, in pieces that do not hold the loop: ranges, counts, Txns of ranges.
 *
 *   read for a while --all there--> answered in the tick it was asked
 *          \--not yet--> [others take their turn] --> read for a while ... --> answered
 *
 * In: a view of one moment. Out: the answer's bytes. What is read of a range is packed as it stands in an
 * answer: the encodings of parts of a message, one behind the other, are the encoding of the message.
 * A view that outlives the tick counts towards the bound of open ones, and is closed in any case.
 */
import { type CallContext, GrpcStatusError, status } from '@flotilla/grpc';
import {
  type MayGoOn,
  type PackedPages,
  type PackedQuery,
  type PackedSlice,
  type RangePage,
  TableError,
  type TableIterator,
  type TxnResult,
} from '@flotilla/mvcc';
import { type mvccV1 } from '@flotilla/proto';
import { type NodeClock } from '../node/node-clock.js';
import { type RunningTable } from '../tables/table-registry.js';
import { packedRangeAnswer } from './answers.js';
import { OPEN_VIEWS_MAX, READ_SLICE_MS } from './limits.js';

export class SlicedReads {
  private views = 0;

  constructor(private readonly clock: Pick<NodeClock, 'nowMs' | 'turn'>) {}

  /** One page of a range. */
  range(
    table: RunningTable,
    query: PackedQuery,
    call: CallContext,
  ): Uint8Array | Promise<Uint8Array> {
    const view = table.machine.iteratePacked(query);
    let rest: Promise<Uint8Array> | undefined;
    try {
      const page = new PageParts();
      if (page.add(view.slice(this.budget()))) return page.answer(table);
      rest = this.holding(view, async () => {
        await this.finish(page, view, call);
        return page.answer(table);
      });
      return rest;
    } finally {
      if (rest === undefined) view.close();
    }
  }

  /** The next page, whole, with turns of others in between; undefined if there is none. */
  async page(view: PackedPages, call: CallContext): Promise<PageParts | undefined> {
    const first = view.slice(this.budget());
    if (first === undefined) return undefined;
    const page = new PageParts();
    if (!page.add(first)) await this.finish(page, view, call);
    return page;
  }

  /** The same as rows, for who needs them one by one. */
  async rows(view: TableIterator, call: CallContext): Promise<RangePage | undefined> {
    const slices = await this.slices((mayGoOn) => view.slice(mayGoOn), call);
    const last = slices.at(-1);
    const kvs = slices.flatMap((slice) => slice.kvs);
    return last && { kvs, more: last.more, count: last.count };
  }

  /** One piece: what can be read before others have to have their turn. Who calls this sees to that. */
  slice<T>(read: (mayGoOn: MayGoOn) => T): T {
    return read(this.budget());
  }

  /** All pieces of a page, with turns of others in between; none if there is no page. */
  private async slices<T extends { readonly isLast: boolean }>(
    read: (mayGoOn: MayGoOn) => T | undefined,
    call: CallContext,
  ): Promise<T[]> {
    for (const slices: T[] = []; ;) {
      const slice = read(this.budget());
      if (slice === undefined) return slices;
      slices.push(slice);
      if (slice.isLast) return slices;
      await this.othersTurn(call);
    }
  }

  txn(
    table: RunningTable,
    txn: mvccV1.Txn,
    call: CallContext,
    answer: (result: TxnResult) => Uint8Array,
  ): Uint8Array | Promise<Uint8Array> {
    const read = table.machine.openReadOnlyTxn(txn);
    let rest: Promise<Uint8Array> | undefined;
    try {
      const result = read.run(this.budget());
      if (result !== undefined) return answer(result);
      rest = this.holding(read, async () => {
        for (;;) {
          await this.othersTurn(call);
          const later = ranOn(() => read.run(this.budget()));
          if (later !== undefined) return answer(later);
        }
      });
      return rest;
    } finally {
      if (rest === undefined) read.close();
    }
  }

  /** Counts a view as open while it is used, and closes it then. Throws when too many are. */
  async holding<T>(view: { close(): void }, use: () => Promise<T>): Promise<T> {
    try {
      if (this.views >= OPEN_VIEWS_MAX) throw tooBusy();
      this.views++;
      try {
        return await use();
      } finally {
        this.views--;
      }
    } finally {
      view.close();
    }
  }

  private async finish(page: PageParts, view: PackedPages, call: CallContext): Promise<void> {
    do await this.othersTurn(call);
    while (!page.add(view.slice(this.budget())));
  }

  /** Time for one piece, from now on. */
  private budget(): MayGoOn {
    const { clock } = this;
    const untilMs = clock.nowMs() + READ_SLICE_MS;
    return () => clock.nowMs() < untilMs;
  }

  private async othersTurn(call: CallContext): Promise<void> {
    await this.clock.turn();
    if (call.cancelled) throw new GrpcStatusError(status.CANCELLED, 'nobody waits for it any more');
  }
}

/** A page in the making, its rows packed. */
export class PageParts {
  more = false;
  private readonly parts: Uint8Array[] = [];
  private bytes = 0;
  private count = 0;

  /** Whether it is whole. */
  add(slice: PackedSlice | undefined): boolean {
    if (slice === undefined) return true;
    for (const part of slice.parts) this.parts.push(part);
    this.bytes += slice.bytes;
    if (!slice.isLast) return false;
    this.more = slice.more;
    this.count = slice.count;
    return true;
  }

  answer(table: RunningTable): Uint8Array {
    const { parts, bytes, more, count } = this;
    return packedRangeAnswer(table.header.ofRead(), { parts, bytes, more, count });
  }
}

/** The state it began on may be compacted, or replaced by a snapshot, before it is done. */
function ranOn<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof TableError && error.code === 'TABLE_COMPACTED') throw tooBusy(error);
    throw error;
  }
}

function tooBusy(cause?: unknown): GrpcStatusError {
  const text = 'system is too busy try again later';
  return new GrpcStatusError(status.UNAVAILABLE, text, undefined, { cause });
}
