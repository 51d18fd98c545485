/** A request that was filled in place is what its protocol would have encoded. */
import { describe, expect, it } from 'vitest';
import { GRPC_PREFIX_BYTES, Numbers, RequestFiller } from '../load/request-filler.js';
import type { RequestTemplate } from '../load/plan.js';
import { etcdProtocol } from '../servers/etcd-protocol.js';
import { regattaProtocol, TABLE } from '../servers/regatta-protocol.js';
import { regattaV1 } from '@flotilla/proto';
import {
  getTemplate,
  keyOf,
  putTemplate,
  rangeTemplate,
  txnTemplate,
} from './request-templates.js';

function filled(template: RequestTemplate, key: number): Buffer {
  const filler = new RequestFiller(template, new Numbers());
  const bytes = Buffer.alloc(filler.length);
  filler.fill(bytes, 0, key);
  expect(bytes.readUInt32BE(1)).toBe(bytes.length - GRPC_PREFIX_BYTES);
  return bytes.subarray(GRPC_PREFIX_BYTES);
}

describe.each([
  ['regatta.v1', regattaProtocol],
  ['etcd', etcdProtocol],
])('over %s', (_name, protocol) => {
  it.each([0, 7, 123_456_789])('a get asks for key %i', (key) => {
    const bytes = filled(getTemplate(protocol, true), key);
    expect(bytes).toEqual(Buffer.from(protocol.range({ key: keyOf(key), isLinearizable: true })));
  });

  it('a range ends the number of its pairs after its beginning', () => {
    const bytes = filled(rangeTemplate(protocol, 1_000), 9_500);
    const query = { key: keyOf(9_500), rangeEnd: keyOf(10_500) };
    expect(bytes).toEqual(Buffer.from(protocol.range(query)));
  });

  it('a put has a value of its own each time', () => {
    const template = putTemplate(protocol, 1_024);
    const filler = new RequestFiller(template, new Numbers());
    const values = [1, 2].map((key) => {
      const bytes = Buffer.alloc(filler.length);
      filler.fill(bytes, 0, key);
      const body = bytes.subarray(GRPC_PREFIX_BYTES);
      const [{ from, bytes: length } = { from: 0, bytes: 0 }] = template.values;
      const value = body.subarray(from, from + length);
      expect(body).toEqual(Buffer.from(protocol.put({ key: keyOf(key), value })));
      return value.toString('hex');
    });
    expect(new Set(values).size).toBe(2);
  });
});

it('a transaction puts consecutive keys', () => {
  const bytes = filled(txnTemplate(regattaProtocol, 64, 100), 128);
  const { table, success } = regattaV1.TxnRequest.decode(bytes);
  const puts = success.map(({ request }) =>
    request?.$case === 'requestPut' ? request.value : undefined,
  );
  expect(table.toString()).toBe(TABLE);
  expect(puts.map((put) => put?.key.toString())).toEqual(
    Array.from({ length: 64 }, (_, at) => keyOf(128 + at).toString()),
  );
  expect(new Set(puts.map((put) => put?.value.toString('hex'))).size).toBe(64);
  expect(puts.every((put) => put?.value.length === 100)).toBe(true);
});
