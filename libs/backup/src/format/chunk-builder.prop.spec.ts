import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BuiltChunk, ChunkBuilder } from './chunk-builder.js';
import { decodeRecords, type DeletedRecord, encodeRecords, type RowRecord } from './records.js';

const CHUNK_BYTES = 1_000;

const bytes = (maxLength: number) =>
  fc.uint8Array({ minLength: 1, maxLength }).map((each) => Buffer.from(each));
const count = fc.oneof(fc.nat(), fc.constantFrom(2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER));
const row: fc.Arbitrary<RowRecord> = fc.record({
  kind: fc.constant('row' as const),
  key: bytes(20),
  value: bytes(200),
  createRevision: count,
  modRevision: count,
  version: count,
});
const deleted: fc.Arbitrary<DeletedRecord> = fc.record({
  kind: fc.constant('deleted' as const),
  key: bytes(20),
});
const chunks = fc.array(fc.array(fc.oneof(row, deleted), { minLength: 1, maxLength: 20 }), {
  minLength: 1,
  maxLength: 5,
});

function expectIs(built: BuiltChunk, records: readonly (RowRecord | DeletedRecord)[]): void {
  expect(built.plain.equals(encodeRecords(records))).toBe(true);
  expect([...decodeRecords(built.plain, 'a chunk')]).toEqual(records);
  const rows = records.filter(({ kind }) => kind === 'row').length;
  expect(built).toMatchObject({
    ...{ rows, deletedKeys: records.length - rows },
    firstKey: records[0]?.key.toString('base64'),
    lastKey: records.at(-1)?.key.toString('base64'),
  });
}

describe('a chunk in the making', () => {
  it('is the bytes of its records and of no others, also in a buffer that another chunk had', () => {
    fc.assert(
      fc.property(chunks, fc.boolean(), (given, isGivenBack) => {
        const builder = new ChunkBuilder(CHUNK_BYTES);
        const kept: { readonly built: BuiltChunk; readonly of: (typeof given)[number] }[] = [];
        for (const records of given) {
          for (const record of records) builder.add(record);
          const built = builder.take();
          expect(builder.isEmpty).toBe(true);
          expectIs(built, records);
          if (isGivenBack) builder.giveBack(built);
          else kept.push({ built, of: records });
        }
        // What was not given back is not written over.
        for (const { built, of } of kept) expectIs(built, of);
      }),
    );
  });

  it('grows with a record that is larger than all before', () => {
    const builder = new ChunkBuilder(CHUNK_BYTES);
    const numbers = { createRevision: 1, modRevision: 2, version: 1 };
    const one = {
      kind: 'row' as const,
      key: Buffer.from('a'),
      value: Buffer.alloc(10),
      ...numbers,
    };
    const large = { ...one, key: Buffer.from('b'), value: Buffer.alloc(1_000_000, 7) };
    for (const record of [one, large]) builder.add(record);
    expectIs(builder.take(), [one, large]);
  });

  it('refuses a number that no record has', () => {
    const numbers = { createRevision: -1, modRevision: 2, version: 1 };
    const row = { kind: 'row' as const, key: Buffer.from('a'), value: Buffer.alloc(1), ...numbers };
    expect(() => new ChunkBuilder(CHUNK_BYTES).add(row)).toThrow(RangeError);
    const above = { ...row, createRevision: Number.MAX_SAFE_INTEGER + 1 };
    expect(() => encodeRecords([above])).toThrow(RangeError);
  });
});
