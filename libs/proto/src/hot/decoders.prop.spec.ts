import { deepStrictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deleteRangeRequest, putRequest, rangeRequest, txnRequest } from '../../test/messages.js';
import { damaged, message, type Shape } from '../../test/wire-bytes.js';
import { hot, regattaV1 } from '../index.js';

const COMPARE: Shape = { 1: 'varint', 2: 'varint', 3: 'bytes', 4: 'bytes', 64: 'bytes' };
const OPERATION: Shape = {
  1: { 1: 'bytes', 2: 'bytes', 3: 'varint', 4: 'varint', 5: 'varint' },
  2: { 1: 'bytes', 2: 'bytes', 3: 'varint' },
  3: { 1: 'bytes', 2: 'bytes', 4: 'varint', 5: 'varint' },
};

interface Case<T> {
  readonly name: string;
  readonly decode: (bytes: Buffer) => T;
  readonly generated: {
    encode(message: T): { finish(): Uint8Array };
    decode(bytes: Uint8Array): T;
  };
  readonly messages: fc.Arbitrary<T>;
  readonly shape: Shape;
}

describe('the hot decoders give what the generated ones do', () => {
  sameAsGenerated({
    name: 'RangeRequest',
    decode: hot.decodeRangeRequest,
    generated: regattaV1.RangeRequest,
    messages: rangeRequest,
    shape: {
      ...Object.fromEntries([1, 2, 3].map((field) => [field, 'bytes'])),
      ...Object.fromEntries([4, 5, 6, 7, 8, 9, 10, 11].map((field) => [field, 'varint'])),
    },
  });
  sameAsGenerated({
    name: 'PutRequest',
    decode: hot.decodePutRequest,
    generated: regattaV1.PutRequest,
    messages: putRequest,
    shape: { 1: 'bytes', 2: 'bytes', 3: 'bytes', 4: 'varint' },
  });
  sameAsGenerated({
    name: 'DeleteRangeRequest',
    decode: hot.decodeDeleteRangeRequest,
    generated: regattaV1.DeleteRangeRequest,
    messages: deleteRangeRequest,
    shape: { 1: 'bytes', 2: 'bytes', 3: 'bytes', 4: 'varint', 5: 'varint' },
  });
  sameAsGenerated({
    name: 'TxnRequest',
    decode: hot.decodeTxnRequest,
    generated: regattaV1.TxnRequest,
    messages: txnRequest,
    shape: { 1: 'bytes', 2: COMPARE, 3: OPERATION, 4: OPERATION },
  });
});

function sameAsGenerated<T extends object>(given: Case<T>): void {
  const { name, decode, generated, messages, shape } = given;
  const encoded = messages.map((each) => Buffer.from(generated.encode(each).finish()));
  const both = (bytes: Buffer): void =>
    deepStrictEqual(
      outcome(() => decode(bytes)),
      outcome(() => generated.decode(bytes)),
    );

  it(`${name}: for every message there is`, () => {
    fc.assert(fc.property(encoded, both), { numRuns: 300 });
  });

  it(`${name}: with fields unknown, repeated, out of order, and of the wrong type`, () => {
    fc.assert(fc.property(message(shape), both), { numRuns: 1500 });
  });

  it(`${name}: for bytes that are cut, flipped or spliced, the error included`, () => {
    fc.assert(fc.property(damaged(fc.oneof(encoded, message(shape))), both), { numRuns: 1500 });
  });

  it(`${name}: for bytes of no meaning`, () => {
    const noise = fc.uint8Array({ maxLength: 60 }).map((each) => Buffer.from(each));
    fc.assert(fc.property(noise, both), { numRuns: 500 });
  });

  it(`${name}: without a copy of what it holds`, () => {
    fc.assert(
      fc.property(encoded, (bytes) => {
        for (const value of Object.values(decode(bytes))) {
          if (value instanceof Buffer && value.length > 0) expect(value.buffer).toBe(bytes.buffer);
        }
      }),
      { numRuns: 50 },
    );
  });
}

/** What came out, with the order of the fields, or what was thrown. */
function outcome(decode: () => object): unknown {
  let message: object;
  try {
    message = decode();
  } catch (error) {
    return { refused: (error as Error).message };
  }
  return { message, fields: fieldNames(message) };
}

function fieldNames(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fieldNames);
  if (typeof value !== 'object' || value === null || value instanceof Buffer) return undefined;
  return Object.entries(value).map(([name, inner]) => [name, fieldNames(inner)]);
}
