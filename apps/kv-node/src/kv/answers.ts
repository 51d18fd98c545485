/**
 * From results of the store to the bytes of the API's answers: pairs, pages, outcomes.
 */
import { type PackedSlice, type RangePage } from '@flotilla/mvcc';
import { hot, type mvccV1 } from '@flotilla/proto';

export function rangeAnswer(head: hot.Header, page: RangePage): Uint8Array {
  return hot.encodeRangeResponse(head, page);
}

export type PackedPage = Omit<PackedSlice, 'isLast'>;

export function packedRangeAnswer(head: hot.Header, page: PackedPage): Uint8Array {
  return hot.encodePackedRangeResponse(head, page);
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
