/**
 * Single operations on a table and the wire responses they yield.
 *
 * In: puts, range deletes and ranges, as commands and Txn branches carry them. Out: one
 * `mvcc.v1.ResponseOp` per operation, at its position. A delete answers with all it deleted, however
 * many; a position must never be left out, whatever the operation was.
 */
import { type mvccV1 } from '@flotilla/proto';
import { type ApplyBatch } from './apply-batch.js';
import { keyRangeOf } from './keyspace.js';
import { readPage } from './range-pages.js';
import { owned, type Version } from './row-codec.js';
import { ROWS_HINT_DEFAULT, type RowReader } from './row-reader.js';
import { type RangePage, type RangeQuery, type TableRow } from './table-types.js';

/** Shared by all puts that were not asked for the previous pair. */
const PLAIN_PUT: mvccV1.ResponseOp = {
  response: { $case: 'responsePut', value: { prevKv: undefined } },
};
const PLAIN_DELETE: mvccV1.ResponseOp = {
  response: { $case: 'responseDeleteRange', value: { deleted: 0n, prevKvs: [] } },
};

export function toKeyValue(row: TableRow): mvccV1.KeyValue {
  return {
    key: row.key,
    createRevision: BigInt(row.createRevision),
    modRevision: BigInt(row.modRevision),
    value: row.value,
  };
}

export function putPair(
  batch: ApplyBatch,
  key: Buffer,
  value: Buffer,
  wantsPrevious: boolean,
): mvccV1.ResponseOp {
  const previous = batch.put(key, value);
  if (!wantsPrevious || previous === undefined) return PLAIN_PUT;
  return { response: { $case: 'responsePut', value: { prevKv: toKeyValue(owned(previous)) } } };
}

export interface DeleteOptions {
  key: Buffer;
  /** Absent: the single key. */
  rangeEnd: Buffer | undefined;
  wantsPrevious: boolean;
  wantsCount: boolean;
}

export function deleteKeys(batch: ApplyBatch, options: DeleteOptions): mvccV1.ResponseOp {
  const { key, rangeEnd, wantsPrevious, wantsCount } = options;
  const prevKvs: mvccV1.KeyValue[] = [];
  let deleted = 0;
  const remove = (row: Version | undefined): void => {
    if (row === undefined) return;
    deleted += 1;
    if (wantsPrevious) prevKvs.push(toKeyValue(owned(row)));
  };
  if (rangeEnd === undefined) remove(batch.delete(key));
  else {
    const range = keyRangeOf(key, rangeEnd);
    const cursor = batch.open({ range, keysOnly: false, rowsHint: ROWS_HINT_DEFAULT });
    try {
      for (let row = cursor.next(); row !== undefined; row = cursor.next()) {
        batch.adopt(row);
        remove(batch.delete(row.key));
      }
    } finally {
      cursor.close();
    }
  }
  if (!wantsPrevious && !wantsCount) return PLAIN_DELETE;
  const value = { deleted: BigInt(deleted), prevKvs };
  return { response: { $case: 'responseDeleteRange', value } };
}

/** The query of an operation of a branch. */
export function queryOf(request: mvccV1.RequestOp_Range): RangeQuery {
  return {
    key: request.key,
    rangeEnd: presentOrNot(request.rangeEnd),
    limit: Number(request.limit),
    keysOnly: request.keysOnly,
    countOnly: request.countOnly,
  };
}

export function rangeResponse(page: RangePage): mvccV1.ResponseOp {
  const { kvs, more, count } = page;
  const value = { kvs: kvs.map(toKeyValue), more, count: BigInt(count) };
  return { response: { $case: 'responseRange', value } };
}

/** One operation of a branch. */
export function runOperation(batch: ApplyBatch, { request }: mvccV1.RequestOp): mvccV1.ResponseOp {
  switch (request?.$case) {
    case 'requestPut': {
      const { key, value, prevKv } = request.value;
      return putPair(batch, key, value, prevKv);
    }
    case 'requestDeleteRange': {
      const { key, rangeEnd, prevKv, count } = request.value;
      return deleteKeys(batch, {
        key,
        rangeEnd: presentOrNot(rangeEnd),
        wantsPrevious: prevKv,
        wantsCount: count,
      });
    }
    default:
      return readOperation(batch, { request });
  }
}

/** A range of a branch; an operation without a request gets a response without content. */
export function readOperation(reader: RowReader, { request }: mvccV1.RequestOp): mvccV1.ResponseOp {
  if (request?.$case !== 'requestRange') return { response: undefined };
  return rangeResponse(readPage(reader, queryOf(request.value)));
}

/** Branch operations carry an absent range end as an empty one. */
function presentOrNot(rangeEnd: Buffer): Buffer | undefined {
  return rangeEnd.length === 0 ? undefined : rangeEnd;
}
