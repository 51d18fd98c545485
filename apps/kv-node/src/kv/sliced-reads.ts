/**
 * Reads that may take long, in pieces that do not hold the loop: ranges, counts, Txns of ranges.
 *
 *   read for a while --all there--> answered in the tick it was asked
 *          \--not yet--> [others take their turn] --> read for a while ... --> answered
 *
 * In: a view of one moment. Out: the answer's bytes. What has been read is encoded at once, piece by
 * piece: the encodings of parts of a message, one behind the other, are the encoding of the message.
 * A view that outlives the tick counts towards the bound of open ones, and is closed in any case.
 */
import { type CallContext, GrpcStatusError, status } from '@flotilla/grpc';
import {
  type MayGoOn,
  type RangeQuery,
  TableError,
  type TableIterator,
  type TxnResult,
} from '@flotilla/mvcc';
import { type mvccV1 } from '@flotilla/proto';
import { type NodeClock } from '../node/node-clock.js';
import { type RunningTable } from '../tables/table-registry.js';
import { rangeAnswer } from './answers.js';
import { OPEN_VIEWS_MAX, READ_SLICE_MS } from './limits.js';

export class SlicedReads {
  private views = 0;

  constructor(private readonly clock: Pick<NodeClock, 'nowMs' | 'turn'>) {}

  /** One page of a range. */
  range(
    table: RunningTable,
    query: RangeQuery,
    call: CallContext,
  ): Uint8Array | Promise<Uint8Array> {
    const view = table.machine.iterate(query);
    let rest: Promise<Uint8Array> | undefined;
    try {
      const slice = view.slice(this.budget());
      if (slice === undefined || slice.isLast) {
        return rangeAnswer(table.header.ofRead(), slice ?? NOTHING);
      }
      const { kvs } = slice;
      const first = rangeAnswer(table.header.ofRead(), { ...NOTHING, kvs });
      rest = this.holding(view, () => this.restOf(view, first, call));
      return rest;
    } finally {
      if (rest === undefined) view.close();
    }
  }

  /** Rows and flags of the next page, whole, with turns of others in between. */
  async page(view: TableIterator, call: CallContext): Promise<PageParts | undefined> {
    const parts: PageParts = { kvs: [], more: false, count: 0 };
    for (;;) {
      const slice = view.slice(this.budget());
      if (slice === undefined) return undefined;
      for (const row of slice.kvs) parts.kvs.push(row);
      if (slice.isLast) return { ...parts, more: slice.more, count: slice.count };
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

  private async restOf(
    view: TableIterator,
    first: Uint8Array,
    call: CallContext,
  ): Promise<Uint8Array> {
    const parts = [first];
    for (;;) {
      await this.othersTurn(call);
      const slice = view.slice(this.budget());
      if (slice === undefined) break;
      const { kvs, more, count, isLast } = slice;
      parts.push(rangeAnswer(NO_HEADER, isLast ? { kvs, more, count } : { ...NOTHING, kvs }));
      if (isLast) break;
    }
    return Buffer.concat(parts);
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

/** A further part of an answer whose first part has the header. */
const NO_HEADER = new Uint8Array(0);

type PageParts = Parameters<typeof rangeAnswer>[1];

const NOTHING: PageParts = { kvs: [], more: false, count: 0 };

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
