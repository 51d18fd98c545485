/**
 * A Txn that only reads, evaluated piece by piece on the state of one moment.
 *
 * In: the Txn, and readers of the moment at which it began: the newest state as long as nothing was
 * written since, the state at that revision afterwards. Out: its result, once there was time enough for
 * all of it. It must never mix two states.
 */
import { type mvccV1 } from '@flotilla/proto';
import { conditionOf, holds } from './condition.js';
import { queryOf, rangeResponse } from './operations.js';
import { openPages } from './range-pages.js';
import { type RowReader } from './row-reader.js';
import { type MayGoOn, type TableRow, type TxnRead, type TxnResult } from './table-types.js';

/** `readerNow` is asked again for each condition and operation. */
export function openTxnRead(readerNow: () => RowReader, txn: mvccV1.Txn): TxnRead {
  let mayGoOn: MayGoOn = () => true;
  const steps = evaluation(readerNow, txn, () => mayGoOn());
  return {
    run(until) {
      mayGoOn = until;
      for (;;) {
        const { done, value } = steps.next();
        if (done === true) return value;
        if (!until()) return undefined;
      }
    },
    // Runs what is to be done at the end of each step that is open.
    close: () => void steps.return({ succeeded: false, responses: [] }),
  };
}

function* evaluation(
  readerNow: () => RowReader,
  txn: mvccV1.Txn,
  mayGoOn: MayGoOn,
): Generator<void, TxnResult, void> {
  let succeeded = true;
  for (const compare of txn.compare) {
    succeeded = yield* holds(readerNow(), conditionOf(compare));
    if (!succeeded) break;
    yield;
  }
  const responses: mvccV1.ResponseOp[] = [];
  for (const operation of succeeded ? txn.success : txn.failure) {
    responses.push(yield* read(readerNow(), operation, mayGoOn));
    yield;
  }
  return { succeeded, responses };
}

function* read(
  reader: RowReader,
  { request }: mvccV1.RequestOp,
  mayGoOn: MayGoOn,
): Generator<void, mvccV1.ResponseOp, void> {
  if (request?.$case !== 'requestRange') return { response: undefined };
  const pages = openPages(reader, queryOf(request.value));
  const kvs: TableRow[] = [];
  try {
    for (let slice = pages.slice(mayGoOn); slice; slice = pages.slice(mayGoOn)) {
      for (const row of slice.kvs) kvs.push(row);
      if (slice.isLast) return rangeResponse({ kvs, more: slice.more, count: slice.count });
      yield;
    }
    return rangeResponse({ kvs, more: false, count: 0 });
  } finally {
    pages.close();
  }
}
