/** `regatta.v1` for benchmarks: all requests go to one table. */
import { regattaV1 as v1 } from '@flotilla/proto';
import type { Protocol } from './protocol.js';

export const TABLE = 'bench';
const TABLE_BYTES = Buffer.from(TABLE);

export const regattaProtocol: Protocol = {
  rangePath: '/regatta.v1.KV/Range',
  putPath: '/regatta.v1.KV/Put',
  txnPath: '/regatta.v1.KV/Txn',

  range({ key, rangeEnd, isLinearizable, countOnly }) {
    const request = v1.RangeRequest.fromPartial({
      table: TABLE_BYTES,
      key: Buffer.from(key),
      rangeEnd: Buffer.from(rangeEnd ?? []),
      linearizable: isLinearizable ?? false,
      countOnly: countOnly ?? false,
    });
    return v1.RangeRequest.encode(request).finish();
  },

  put({ key, value }) {
    const pair = { key: Buffer.from(key), value: Buffer.from(value) };
    const request = v1.PutRequest.fromPartial({ table: TABLE_BYTES, ...pair });
    return v1.PutRequest.encode(request).finish();
  },

  putAll(pairs) {
    const success = pairs.map(({ key, value }) => ({
      request: {
        $case: 'requestPut' as const,
        value: { key: Buffer.from(key), value: Buffer.from(value), prevKv: false },
      },
    }));
    return v1.TxnRequest.encode({ table: TABLE_BYTES, compare: [], success, failure: [] }).finish();
  },

  readRange(answer) {
    const { count, kvs } = v1.RangeResponse.decode(answer);
    return { count: Number(count), values: kvs.map(({ value }) => value) };
  },

  readRevision(answer) {
    return Number(v1.PutResponse.decode(answer).header?.revision ?? 0);
  },
};
