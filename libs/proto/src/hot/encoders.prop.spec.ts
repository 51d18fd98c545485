import { deepStrictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bytes,
  count,
  deleteRangeRequest,
  header,
  int64,
  keyValue,
  keyValues,
  putRequest,
  responseOp,
  row,
  txnRequest,
} from '../../test/messages.js';
import { hot, mvccV1, regattaV1 } from '../index.js';

const { Command, Command_CommandType } = mvccV1;
const NOTHING = { batch: [], sequence: [], count: false, kv: undefined };
const RUNS = { numRuns: 400 };
const HEADER: hot.HeaderFields = {
  shardId: 10_001,
  replicaId: 1,
  revision: 0,
  raftTerm: 3,
  raftLeaderId: 1,
};

interface Generated<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

/** The same bytes as the generated encoder makes, which decode to the message that was given. */
function same<T>(hotBytes: Buffer, codec: Generated<T>, message: T): void {
  expect(hotBytes.toString('hex')).toBe(
    Buffer.from(codec.encode(message).finish()).toString('hex'),
  );
  deepStrictEqual(codec.decode(hotBytes), message);
}

function asGenerated(fields: hot.HeaderFields): regattaV1.ResponseHeader {
  return {
    shardId: BigInt(fields.shardId),
    replicaId: BigInt(fields.replicaId),
    revision: BigInt(fields.revision),
    raftTerm: BigInt(fields.raftTerm),
    raftLeaderId: BigInt(fields.raftLeaderId),
  };
}

describe('the hot encoders of answers make the bytes of the generated ones', () => {
  it('RangeResponse, from rows', () => {
    const page = fc.record({ kvs: fc.array(row, { maxLength: 6 }), more: fc.boolean(), count });
    const run = (fields: hot.HeaderFields, given: hot.PageFields) => {
      const kvs = given.kvs.map(({ key, value, createRevision, modRevision }) => ({
        key: Buffer.from(key),
        createRevision: BigInt(createRevision),
        modRevision: BigInt(modRevision),
        value: Buffer.from(value),
      }));
      const { more } = given;
      const message = { header: asGenerated(fields), kvs, more, count: BigInt(given.count) };
      same(hot.encodeRangeResponse(fields, given), regattaV1.RangeResponse, message);
    };
    fc.assert(fc.property(header, page, run), RUNS);
  });

  it('PutResponse', () => {
    const run = (fields: hot.HeaderFields, prevKv: mvccV1.KeyValue | undefined) => {
      const message = { header: asGenerated(fields), prevKv };
      same(hot.encodePutResponse(fields, prevKv), regattaV1.PutResponse, message);
    };
    fc.assert(fc.property(header, fc.option(keyValue, { nil: undefined }), run), RUNS);
  });

  it('DeleteRangeResponse', () => {
    const run = (fields: hot.HeaderFields, deleted: bigint, prevKvs: mvccV1.KeyValue[]) => {
      const message = { header: asGenerated(fields), deleted, prevKvs };
      const encoded = hot.encodeDeleteRangeResponse(fields, deleted, prevKvs);
      same(encoded, regattaV1.DeleteRangeResponse, message);
    };
    fc.assert(fc.property(header, int64, keyValues, run), RUNS);
  });

  it('TxnResponse', () => {
    const responses = fc.array(responseOp, { maxLength: 4 });
    const run = (fields: hot.HeaderFields, succeeded: boolean, given: mvccV1.ResponseOp[]) => {
      const message = { header: asGenerated(fields), succeeded, responses: given };
      same(hot.encodeTxnResponse(fields, succeeded, given), regattaV1.TxnResponse, message);
    };
    fc.assert(fc.property(header, fc.boolean(), responses, run), RUNS);
  });

  it('with a header that was encoded before, or with none', () => {
    const page = { kvs: [], more: true, count: 7 };
    const run = (fields: hot.HeaderFields) => {
      const kept = hot.encodeHeader(fields);
      const encoded = hot.encodeRangeResponse(kept, page);
      expect(encoded).toEqual(hot.encodeRangeResponse(fields, page));
      expect(hot.encodePutResponse(kept, undefined)).toEqual(
        hot.encodePutResponse(fields, undefined),
      );
    };
    fc.assert(fc.property(header, run), RUNS);
    const none = { header: undefined, kvs: [], more: true, count: 7n };
    same(hot.encodeRangeResponse(Buffer.alloc(0), page), regattaV1.RangeResponse, none);
  });

  it('and refuse numbers that the wire does not have', () => {
    for (const number of [-1, 0.5, NaN, Infinity, 2 ** 53, -(2 ** 40)]) {
      const page = { kvs: [], more: false, count: number };
      expect(() => hot.encodeRangeResponse(HEADER, page)).toThrow('not a number that the wire has');
      expect(() => hot.encodeHeader({ ...HEADER, raftTerm: number })).toThrow(RangeError);
    }
    for (const number of [2n ** 63n, -(2n ** 63n) - 1n, 2n ** 70n]) {
      expect(() => hot.encodeDeleteRangeResponse(HEADER, number, [])).toThrow('64-bit');
    }
  });
});

describe('the hot encoders of log commands make the bytes of the generated one', () => {
  it('PUT', () => {
    const run = ({ table, key, value, prevKv }: regattaV1.PutRequest) => {
      const kv = { key, createRevision: 0n, modRevision: 0n, value };
      const type = Command_CommandType.PUT;
      const message = { ...ABSENT, ...NOTHING, table, type, kv, prevKvs: prevKv };
      same(hot.encodePutCommand({ table, key, value, prevKv }), Command, message);
    };
    fc.assert(fc.property(putRequest, run), RUNS);
  });

  it('DELETE, of a key and of a range', () => {
    const run = (request: regattaV1.DeleteRangeRequest) => {
      const { table, key, rangeEnd, prevKv, count } = request;
      const message = {
        ...ABSENT,
        ...NOTHING,
        table,
        type: Command_CommandType.DELETE,
        kv: { key, createRevision: 0n, modRevision: 0n, value: Buffer.alloc(0) },
        rangeEnd: rangeEnd.length > 0 ? rangeEnd : undefined,
        prevKvs: prevKv,
        count,
      };
      same(hot.encodeDeleteRangeCommand(request), Command, message);
    };
    fc.assert(fc.property(deleteRangeRequest, run), RUNS);
  });

  it('TXN', () => {
    const run = (request: regattaV1.TxnRequest) => {
      const { table, compare, success, failure } = request;
      const txn = { compare, success, failure };
      const type = Command_CommandType.TXN;
      const message = { ...ABSENT, ...NOTHING, table, type, txn, prevKvs: false };
      same(hot.encodeTxnCommand(request), Command, message);
    };
    fc.assert(fc.property(txnRequest, run), RUNS);
  });

  it('which does not change when the message it came from is overwritten', () => {
    fc.assert(
      fc.property(bytes, bytes, bytes, (table, key, value) => {
        const request = { table, key, value, prevKv: true };
        const message = Buffer.from(regattaV1.PutRequest.encode(request).finish());
        const command = hot.encodePutCommand(hot.decodePutRequest(message));
        const before = command.toString('hex');
        message.fill(0);
        expect(command.toString('hex')).toBe(before);
      }),
    );
  });
});

const ABSENT = {
  leaderIndex: undefined,
  txn: undefined,
  rangeEnd: undefined,
  fence: undefined,
  fill: undefined,
  adoption: undefined,
};
