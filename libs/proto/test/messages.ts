/**
 * Messages of the request path as fast-check makes them: every field, every size that changes how
 * many bytes a length or a number takes.
 *
 * Out: arbitraries of the generated types, of rows and headers as the store has them.
 */
import fc from 'fast-check';
import { type mvccV1, type regattaV1 } from '../src/index.js';

/** Objects like those that a decoder makes. */
function record<T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(fields, { noNullPrototype: true });
}

export const bytes: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 6, arbitrary: fc.uint8Array({ maxLength: 60 }).map((each) => Buffer.from(each)) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(0, 1, 11, 12, 13, 127, 128, 129, 300, 16_383, 16_384)
      .map((length) => Buffer.alloc(length, 0xa5)),
  },
);

/** Where a varint gets one byte longer, from one byte to nine. */
const VARINT_STEPS = [7, 14, 21, 28, 31, 32, 35, 42, 49, 53, 56, 63].map(
  (bits) => 2n ** BigInt(bits),
);

export const int64: fc.Arbitrary<bigint> = fc.oneof(
  fc.constantFrom(0n, 1n, 5n, 100n),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc
    .tuple(fc.constantFrom(...VARINT_STEPS), fc.constantFrom(-1n, 0n, 1n), fc.boolean())
    .map(([step, offset, negative]) => BigInt.asIntN(64, (negative ? -step : step) + offset)),
);

/** What is a number inside: revisions, ids, counts. */
export const count: fc.Arbitrary<number> = fc.oneof(
  fc.nat(300),
  fc.maxSafeNat(),
  fc
    .tuple(fc.constantFrom(...VARINT_STEPS), fc.constantFrom(-1n, 0n, 1n))
    .map(([step, offset]) => Number(step + offset))
    .filter((each) => Number.isSafeInteger(each)),
);

export const header = record({
  shardId: count,
  replicaId: count,
  revision: count,
  raftTerm: count,
  raftLeaderId: count,
});

export const row = record({
  key: bytes,
  value: bytes,
  createRevision: count,
  modRevision: count,
});

export const rangeRequest: fc.Arbitrary<regattaV1.RangeRequest> = record({
  table: bytes,
  key: bytes,
  rangeEnd: bytes,
  limit: int64,
  linearizable: fc.boolean(),
  keysOnly: fc.boolean(),
  countOnly: fc.boolean(),
  minModRevision: int64,
  maxModRevision: int64,
  minCreateRevision: int64,
  maxCreateRevision: int64,
});

export const putRequest: fc.Arbitrary<regattaV1.PutRequest> = record({
  table: bytes,
  key: bytes,
  value: bytes,
  prevKv: fc.boolean(),
});

export const deleteRangeRequest: fc.Arbitrary<regattaV1.DeleteRangeRequest> = record({
  table: bytes,
  key: bytes,
  rangeEnd: bytes,
  prevKv: fc.boolean(),
  count: fc.boolean(),
});

export const keyValue: fc.Arbitrary<mvccV1.KeyValue> = record({
  key: bytes,
  createRevision: int64,
  modRevision: int64,
  value: bytes,
});

/** Numbers that no enum names come over the wire as well. */
const enumValue = fc.oneof(fc.nat(3), fc.integer()) as fc.Arbitrary<0 | 1 | 2 | 3>;

const compare: fc.Arbitrary<mvccV1.Compare> = record({
  result: enumValue,
  target: enumValue as fc.Arbitrary<0>,
  key: bytes,
  targetUnion: fc.option(record({ $case: fc.constant('value' as const), value: bytes }), {
    nil: undefined,
  }),
  rangeEnd: bytes,
});

const requestOp: fc.Arbitrary<mvccV1.RequestOp> = record({
  request: fc.oneof(
    fc.constant(undefined),
    record({
      $case: fc.constant('requestRange' as const),
      value: record({
        key: bytes,
        rangeEnd: bytes,
        limit: int64,
        keysOnly: fc.boolean(),
        countOnly: fc.boolean(),
      }),
    }),
    record({
      $case: fc.constant('requestPut' as const),
      value: record({ key: bytes, value: bytes, prevKv: fc.boolean() }),
    }),
    record({
      $case: fc.constant('requestDeleteRange' as const),
      value: record({ key: bytes, rangeEnd: bytes, prevKv: fc.boolean(), count: fc.boolean() }),
    }),
  ),
});

const operations = fc.array(requestOp, { maxLength: 4 });

export const txnRequest: fc.Arbitrary<regattaV1.TxnRequest> = record({
  table: bytes,
  compare: fc.array(compare, { maxLength: 3 }),
  success: operations,
  failure: operations,
});

export const keyValues = fc.array(keyValue, { maxLength: 4 });

export const responseOp: fc.Arbitrary<mvccV1.ResponseOp> = record({
  response: fc.oneof(
    fc.constant(undefined),
    record({
      $case: fc.constant('responseRange' as const),
      value: record({ kvs: keyValues, more: fc.boolean(), count: int64 }),
    }),
    record({
      $case: fc.constant('responsePut' as const),
      value: record({ prevKv: fc.option(keyValue, { nil: undefined }) }),
    }),
    record({
      $case: fc.constant('responseDeleteRange' as const),
      value: record({ deleted: int64, prevKvs: keyValues }),
    }),
  ),
});
