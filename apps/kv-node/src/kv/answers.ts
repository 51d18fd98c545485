/**
 * From results of the store to the bytes of the API's answers: headers, pairs, pages.
 */
import { type RangePage } from '@flotilla/mvcc';
import { hot, type mvccV1 } from '@flotilla/proto';
import { type RunningTable } from '../tables/table-registry.js';

/** Where an answer comes from; `revision` is 0 for reads, as clients of Regatta have it. */
export function header(table: RunningTable, nodeId: number, revision: number): hot.HeaderFields {
  const { term, leader } = table.group.status();
  return { shardId: table.id, replicaId: nodeId, revision, raftTerm: term, raftLeaderId: leader };
}

export function rangeAnswer(head: hot.Header, page: RangePage): Uint8Array {
  return hot.encodeRangeResponse(head, page);
}

export function putAnswer(head: hot.Header, responses: readonly mvccV1.ResponseOp[]): Uint8Array {
  const response = responses[0]?.response;
  const prevKv = response?.$case === 'responsePut' ? response.value.prevKv : undefined;
  return hot.encodePutResponse(head, prevKv);
}

export function deleteRangeAnswer(
  head: hot.Header,
  responses: readonly mvccV1.ResponseOp[],
): Uint8Array {
  const response = responses[0]?.response;
  const { deleted, prevKvs } =
    response?.$case === 'responseDeleteRange' ? response.value : { deleted: 0n, prevKvs: [] };
  return hot.encodeDeleteRangeResponse(head, deleted, prevKvs);
}

export function txnAnswer(
  head: hot.Header,
  result: { readonly succeeded: boolean; readonly responses: readonly mvccV1.ResponseOp[] },
): Uint8Array {
  return hot.encodeTxnResponse(head, result.succeeded, result.responses);
}
