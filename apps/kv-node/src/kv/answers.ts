/**
 * From results of the store to the messages of the API: headers, pairs, pages.
 */
import { type RangePage, type TableRow } from '@flotilla/mvcc';
import { regattaV1, type mvccV1 } from '@flotilla/proto';
import { type RunningTable } from '../tables/table-registry.js';

const { DeleteRangeResponse, PutResponse, RangeResponse, TxnResponse } = regattaV1;

/** Where an answer comes from; `revision` is 0 for reads, as clients of Regatta have it. */
export function header(
  table: RunningTable,
  nodeId: number,
  revision: number,
): regattaV1.ResponseHeader {
  const { term, leader } = table.group.status();
  return {
    shardId: BigInt(table.id),
    replicaId: BigInt(nodeId),
    revision: BigInt(revision),
    raftTerm: BigInt(term),
    raftLeaderId: BigInt(leader),
  };
}

function keyValue(row: TableRow): mvccV1.KeyValue {
  return {
    key: row.key,
    createRevision: BigInt(row.createRevision),
    modRevision: BigInt(row.modRevision),
    value: row.value,
  };
}

export function rangeAnswer(head: regattaV1.ResponseHeader, page: RangePage): Uint8Array {
  const { kvs, more, count } = page;
  const answer = { header: head, kvs: kvs.map(keyValue), more, count: BigInt(count) };
  return RangeResponse.encode(answer).finish();
}

export function putAnswer(
  head: regattaV1.ResponseHeader,
  responses: readonly mvccV1.ResponseOp[],
): Uint8Array {
  const response = responses[0]?.response;
  const prevKv = response?.$case === 'responsePut' ? response.value.prevKv : undefined;
  return PutResponse.encode({ header: head, prevKv }).finish();
}

export function deleteRangeAnswer(
  head: regattaV1.ResponseHeader,
  responses: readonly mvccV1.ResponseOp[],
): Uint8Array {
  const response = responses[0]?.response;
  const { deleted, prevKvs } =
    response?.$case === 'responseDeleteRange' ? response.value : { deleted: 0n, prevKvs: [] };
  return DeleteRangeResponse.encode({ header: head, deleted, prevKvs }).finish();
}

export function txnAnswer(
  head: regattaV1.ResponseHeader,
  result: { readonly succeeded: boolean; readonly responses: mvccV1.ResponseOp[] },
): Uint8Array {
  const { succeeded, responses } = result;
  return TxnResponse.encode({ header: head, succeeded, responses }).finish();
}
