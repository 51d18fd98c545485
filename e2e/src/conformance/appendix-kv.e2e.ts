/**
 * The contract of the KV service, item by item, against a running node and a client made from the
 * plain .proto files.
 */
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NodeProcess } from '../harness/node-process.js';
import { PlainClient, type Answer } from '../harness/plain-client.js';

const MIB = 1024 * 1024;
const ZERO = Buffer.from([0]);
const [EQUAL, GREATER, LESS, NOT_EQUAL] = [0, 1, 2, 3];

interface Pair {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly create_revision: string;
  readonly mod_revision: string;
}

interface RangeAnswer {
  readonly header: Record<string, string>;
  readonly kvs: Pair[];
  readonly more: boolean;
  readonly count: string;
}

let node: NodeProcess;
let client: PlainClient;
let tables = 0;
let table: Buffer;

beforeAll(async () => {
  node = await NodeProcess.start();
  client = new PlainClient(node.apiAddress);
});
afterAll(async () => {
  client.close();
  await node.dispose();
});
beforeEach(async () => {
  const name = `t${++tables}`;
  await client.call('Tables', 'Create', { name });
  table = Buffer.from(name);
});

const put = (key: Buffer | string, value: Buffer | string, more: object = {}) =>
  client.call('KV', 'Put', { table, key: Buffer.from(key), value: Buffer.from(value), ...more });
const range = async (request: object) =>
  (await client.call('KV', 'Range', { table, ...request })) as unknown as RangeAnswer;
const del = (request: object) => client.call('KV', 'DeleteRange', { table, ...request });
const txn = (request: object) => client.call('KV', 'Txn', { table, ...request });
const keysOf = ({ kvs }: RangeAnswer) => kvs.map(({ key }) => key.toString());
const everything = { key: ZERO, range_end: ZERO };
const b = (text: string) => Buffer.from(text);

describe('order of checks', () => {
  const bad = {
    limit: -1,
    keys_only: true,
    count_only: true,
    min_mod_revision: 1,
    max_mod_revision: 1,
    min_create_revision: 1,
    max_create_revision: 1,
  };
  const steps: readonly (readonly [string, number, string])[] = [
    ['limit', status.INVALID_ARGUMENT, 'limit must be a positive number'],
    [
      'count_only',
      status.INVALID_ARGUMENT,
      'keys_only and count_only must not be set at the same time',
    ],
    ['min_mod_revision', status.UNIMPLEMENTED, 'min_mod_revision not implemented'],
    ['max_mod_revision', status.UNIMPLEMENTED, 'max_mod_revision not implemented'],
    ['min_create_revision', status.UNIMPLEMENTED, 'min_create_revision not implemented'],
    ['max_create_revision', status.UNIMPLEMENTED, 'max_create_revision not implemented'],
  ];

  it('1-5: each check of a range wins over all that come after it', async () => {
    const request: Record<string, unknown> = { ...bad };
    for (const [field, code, details] of steps) {
      expect(await client.refusal('KV', 'Range', request)).toEqual({ code, details });
      delete request[field];
    }
    expect(await client.refusal('KV', 'Range', {})).toEqual({
      code: status.INVALID_ARGUMENT,
      details: 'table must be set',
    });
    const unknown = { table: b('unknown') };
    expect(await client.refusal('KV', 'Range', unknown)).toEqual({
      code: status.INVALID_ARGUMENT,
      details: 'key must be set',
    });
    const tooLong = { ...unknown, key: Buffer.alloc(1025, 1) };
    expect(await client.refusal('KV', 'Range', tooLong)).toEqual({
      code: status.NOT_FOUND,
      details: 'table not found',
    });
    await put('k', 'v');
    const filters = { min_mod_revision: -1, max_mod_revision: 0, min_create_revision: -5 };
    expect((await range({ key: b('k'), ...filters })).count).toBe('1');
  });

  it.each(['Put', 'DeleteRange'])(
    '%s: table, then key, then whether the table exists',
    async (m) => {
      const invalid = (details: string) => ({ code: status.INVALID_ARGUMENT, details });
      expect(await client.refusal('KV', m, {})).toEqual(invalid('table must be set'));
      const missing = { table: b('unknown') };
      expect(await client.refusal('KV', m, missing)).toEqual(invalid('key must be set'));
      expect(await client.refusal('KV', m, { ...missing, key: b('k') })).toEqual({
        code: status.NOT_FOUND,
        details: 'table not found',
      });
    },
  );

  it('Txn: table, then whether it exists', async () => {
    expect((await client.refusal('KV', 'Txn', {})).details).toBe('table must be set');
    expect(await client.refusal('KV', 'Txn', { table: b('unknown') })).toEqual({
      code: status.NOT_FOUND,
      details: 'table not found',
    });
  });
});

describe('limits', () => {
  const keyTooLong = {
    code: status.FAILED_PRECONDITION,
    details: 'key length exceeded max allowed value',
  };
  const valueTooLong = {
    code: status.FAILED_PRECONDITION,
    details: 'value length exceeded max allowed value',
  };

  it('6: a key of 1,024 bytes is fine, one more byte is not', async () => {
    const fits = Buffer.alloc(1024, 7);
    const over = Buffer.alloc(1025, 7);
    await put(fits, 'v');
    expect((await range({ key: fits })).count).toBe('1');
    expect((await del({ key: fits, count: true }))['deleted']).toBe('1');
    for (const method of ['Range', 'Put', 'DeleteRange']) {
      expect(await client.refusal('KV', method, { table, key: over })).toEqual(keyTooLong);
    }
    const end = { table, key: b('a'), range_end: over };
    expect(await client.refusal('KV', 'Range', end)).toEqual(keyTooLong);
  });

  it('7: a value of 2,097,152 bytes is fine, one more byte is not', async () => {
    const fits = Buffer.alloc(2 * MIB, 0xa5);
    await put('k', fits);
    expect((await range({ key: b('k') })).kvs[0]?.value.equals(fits)).toBe(true);
    const over = { table, key: b('k'), value: Buffer.alloc(2 * MIB + 1) };
    expect(await client.refusal('KV', 'Put', over)).toEqual(valueTooLong);
  });

  it('B17: keys and values have the same limits inside a transaction and in a stream', async () => {
    const over = Buffer.alloc(1025, 1);
    const ops: readonly (readonly [object, object])[] = [
      [{ request_put: { key: over, value: b('v') } }, keyTooLong],
      [{ request_range: { key: over } }, keyTooLong],
      [{ request_delete_range: { key: b('a'), range_end: over } }, keyTooLong],
      [{ request_put: { key: b('k'), value: Buffer.alloc(2 * MIB + 1) } }, valueTooLong],
    ];
    for (const [op, refusal] of ops) {
      expect(await client.refusal('KV', 'Txn', { table, success: [op] })).toEqual(refusal);
    }
    const compare = [{ key: over, value: b('x') }];
    expect(await client.refusal('KV', 'Txn', { table, compare })).toEqual(keyTooLong);
    const streamed = client.stream('KV', 'IterateRange', { table, key: over });
    await expect(streamed).rejects.toMatchObject(keyTooLong);
  });

  it('a request of more than 4 MiB is refused, and the connection goes on', async () => {
    const puts = [1, 2, 3].map((at) => ({
      request_put: { key: b(`k${at}`), value: Buffer.alloc(2 * MIB) },
    }));
    const refusal = await client.refusal('KV', 'Txn', { table, success: puts });
    expect(refusal.code).toBe(status.RESOURCE_EXHAUSTED);
    await put('k', 'v');
  });
});

describe('ranges', () => {
  it('8: a missing key is an empty answer with a header, not an error', async () => {
    const { header, kvs, more, count } = await range({ key: b('nope') });
    expect([kvs, more, count]).toEqual([[], false, '0']);
    expect(header['shard_id']).toMatch(/^1\d{4}$/);
    expect(header).toMatchObject({ replica_id: '1', raft_leader_id: '1' });
    const { tables } = await client.call('Cluster', 'Status', {});
    const own = (tables as Record<string, { raftTerm: string }>)[table.toString()];
    expect(header['raft_term']).toBe(own?.raftTerm);
    expect(Number(header['raft_term'])).toBeGreaterThanOrEqual(2);
    expect(header['revision']).toBe('0');
  });

  it('9: [a, c) is half open, a zero byte is the end of all, reversed is empty', async () => {
    for (const key of ['a', 'b', 'c', 'd']) await put(key, key);
    expect(keysOf(await range({ key: b('a'), range_end: b('c') }))).toEqual(['a', 'b']);
    expect(keysOf(await range({ key: b('c'), range_end: ZERO }))).toEqual(['c', 'd']);
    expect(keysOf(await range(everything))).toEqual(['a', 'b', 'c', 'd']);
    expect(keysOf(await range({ key: b('c'), range_end: b('a') }))).toEqual([]);
    expect(keysOf(await range({ range_end: b('b') }))).toEqual(['a']);
    const refused = client.stream('KV', 'IterateRange', { table, range_end: b('b') });
    await expect(refused).rejects.toMatchObject({ details: 'key must be set' });
  });

  it('10, B3: more says exactly whether a further key exists', async () => {
    const limited = async () => {
      const { more, count } = await range({ ...everything, limit: 3 });
      return [more, count];
    };
    for (const key of ['a', 'b', 'c']) await put(key, key);
    expect(await limited()).toEqual([false, '3']);
    await put('d', 'd');
    expect(await limited()).toEqual([true, '3']);
    await put('e', 'e');
    expect(await limited()).toEqual([true, '3']);
    const most = await range({ ...everything, limit: String(2n ** 62n) });
    expect([most.more, most.count]).toEqual([false, '5']);
  });

  it('11-13: pages hold every row once, counts are whole, a stream is one point in time', async () => {
    const value = Buffer.alloc(100 * 1024, 3);
    const keys = Array.from({ length: 60 }, (_, at) => `k${String(at).padStart(3, '0')}`);
    for (const key of keys) await put(key, value);
    const counted = await range({ ...everything, count_only: true });
    expect([counted.count, counted.kvs, counted.more]).toEqual(['60', [], false]);
    expect((await range({ ...everything, count_only: true, limit: 7 })).count).toBe('7');
    expect((await range({ key: b('k001'), count_only: true })).count).toBe('1');

    const paged: string[] = [];
    let pages = 0;
    for (let key = ZERO; ; pages++) {
      const answer = await range({ key, range_end: ZERO });
      const bytes = answer.kvs.reduce((sum, pair) => sum + pair.key.length + pair.value.length, 0);
      expect(bytes).toBeLessThan(4_193_280);
      expect(answer.count).toBe(String(answer.kvs.length));
      paged.push(...keysOf(answer));
      if (!answer.more) break;
      key = Buffer.concat([answer.kvs.at(-1)?.key ?? ZERO, ZERO]);
    }
    expect(paged).toEqual(keys);
    expect(pages).toBe(1);

    const writing = Promise.all(keys.map((key) => put(`${key}-later`, 'x')));
    const streamed = (await client.stream('KV', 'IterateRange', {
      table,
      ...everything,
    })) as unknown as RangeAnswer[];
    await writing;
    const seen = streamed.flatMap(keysOf);
    expect(seen.filter((key) => !key.endsWith('-later'))).toEqual(keys);
    expect(new Set(seen).size).toBe(seen.length);
    expect(streamed.map(({ more }) => more)).toEqual([
      ...Array.from({ length: streamed.length - 1 }, () => true),
      false,
    ]);
  });

  it('a stream over nothing is one empty message, a stream of one key one message', async () => {
    const nothing = await client.stream('KV', 'IterateRange', { table, ...everything });
    expect(nothing).toMatchObject([{ kvs: [], more: false, count: '0' }]);
    await put('k', 'v');
    expect(await client.stream('KV', 'IterateRange', { table, key: b('k') })).toHaveLength(1);
  });

  it('B17: rows of the largest size are readable as pages', async () => {
    for (const key of ['a', 'b', 'c']) await put(key, Buffer.alloc(2 * MIB, 1));
    const first = await range(everything);
    expect([keysOf(first), first.more]).toEqual([['a'], true]);
    const streamed = await client.stream('KV', 'IterateRange', { table, ...everything });
    expect((streamed as unknown as RangeAnswer[]).flatMap(keysOf)).toEqual(['a', 'b', 'c']);
  });
});

describe('writes', () => {
  const revisionOf = (answer: Answer) =>
    Number((answer['header'] as Record<string, string>)['revision']);

  it('14: the first put has revision 3, revisions grow, prev_kv is what was there before', async () => {
    const first = await put('k', '1', { prev_kv: true });
    expect([first['prev_kv'], revisionOf(first)]).toEqual([null, 3]);
    const second = await put('k', '2', { prev_kv: true });
    expect(second['prev_kv']).toMatchObject({ key: b('k'), value: b('1') });
    expect(revisionOf(second)).toBe(4);
    const { kvs } = await range({ key: b('k') });
    expect(kvs[0]).toMatchObject({ create_revision: '3', mod_revision: '4' });
  });

  it('15: deleted is counted only if that was asked for', async () => {
    const fill = async () => {
      for (const key of ['a', 'b', 'c']) await put(key, key);
    };
    const pair = { key: b('a'), range_end: b('c') };
    await fill();
    expect(await del(pair)).toMatchObject({ deleted: '0', prev_kvs: [] });
    await fill();
    expect(await del({ ...pair, count: true })).toMatchObject({ deleted: '2', prev_kvs: [] });
    await fill();
    const withPairs = await del({ ...pair, prev_kv: true });
    expect(withPairs['deleted']).toBe('2');
    expect((withPairs['prev_kvs'] as Pair[]).map(({ key }) => key.toString())).toEqual(['a', 'b']);
    expect((await del({ key: b('nope'), count: true }))['deleted']).toBe('0');
    expect(keysOf(await range(everything))).toEqual(['c']);
    expect((await del({ ...everything, count: true }))['deleted']).toBe('1');
  });

  it('B19: a delete with prev_kv returns and counts all pairs, however many pages they would be', async () => {
    for (let at = 0; at < 6; at++) await put(`k${at}`, Buffer.alloc(MIB, at));
    const { deleted, prev_kvs: pairs } = await del({ ...everything, prev_kv: true });
    expect([deleted, (pairs as Pair[]).length]).toEqual(['6', 6]);
  });

  it('19, B21, B22: every byte is kept in keys and values, a lone zero byte included', async () => {
    const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    await put(every, every);
    await put(Buffer.from([0x61, 0x00, 0x62]), ZERO);
    await put(ZERO, '');
    const { kvs } = await range(everything);
    expect(kvs.map(({ key, value }) => [key, value])).toEqual([
      [ZERO, b('')],
      [every, every],
      [Buffer.from([0x61, 0x00, 0x62]), ZERO],
    ]);
  });
});

describe('transactions', () => {
  const succeeded = async (compare: object[]) => (await txn({ compare }))['succeeded'];
  const value = (key: string, result: number | undefined, than: string) => ({
    key: b(key),
    result,
    value: b(than),
  });

  it('16: compares on a present key, a missing key, existence and ranges', async () => {
    for (const [key, content] of [
      ['a', 'm'],
      ['b', 'm'],
    ] as const) {
      await put(key, content);
    }
    expect(await succeeded([])).toBe(true);
    const cases: readonly (readonly [number | undefined, string, boolean])[] = [
      [EQUAL, 'm', true],
      [EQUAL, 'x', false],
      [NOT_EQUAL, 'x', true],
      [NOT_EQUAL, 'm', false],
      [GREATER, 'a', true],
      [GREATER, 'z', false],
      [LESS, 'z', true],
      [LESS, 'a', false],
    ];
    for (const [result, than, holds] of cases) {
      expect(await succeeded([value('a', result, than)])).toBe(holds);
      expect(await succeeded([value('missing', result, than)])).toBe(false);
    }
    expect(await succeeded([{ key: b('a'), result: NOT_EQUAL }])).toBe(true);
    expect(await succeeded([{ key: b('missing') }])).toBe(false);
    expect(await succeeded([{ ...value('a', EQUAL, 'm'), range_end: b('c') }])).toBe(true);
    expect(await succeeded([{ ...value('a', EQUAL, 'm'), range_end: ZERO }])).toBe(true);
    await put('b', 'other');
    expect(await succeeded([{ ...value('a', EQUAL, 'm'), range_end: b('c') }])).toBe(false);
    expect(await succeeded([{ key: b('x'), range_end: b('z') }])).toBe(false);
    expect(await succeeded([value('a', EQUAL, 'm'), value('b', EQUAL, 'm')])).toBe(false);
  });

  it('17: operations see the ones before them, and every one has its answer in its place', async () => {
    const key = b('k');
    const answer = await txn({
      success: [
        { request_put: { key, value: b('1') } },
        { request_delete_range: { key, count: true, prev_kv: true } },
        { request_range: { key } },
        { request_put: { key, value: b('2'), prev_kv: true } },
        { request_range: { ...everything, count_only: true } },
        { request_put: { key, value: b('3'), prev_kv: true } },
      ],
    });
    const responses = answer['responses'] as Record<string, Record<string, unknown>>[];
    expect(responses).toHaveLength(6);
    expect(responses[1]?.['response_delete_range']).toMatchObject({ deleted: '1' });
    expect(responses[2]?.['response_range']).toMatchObject({ kvs: [], count: '0' });
    expect(responses[3]?.['response_put']?.['prev_kv']).toBeNull();
    expect(responses[4]?.['response_range']).toMatchObject({ count: '1' });
    expect(responses[5]?.['response_put']?.['prev_kv']).toMatchObject({ value: b('2') });
    expect((await range({ key })).kvs[0]?.value).toEqual(b('3'));
  });

  it('18: a transaction that only reads leaves the revision alone', async () => {
    const before = (await put('k', 'v'))['header'] as Record<string, string>;
    const read = await txn({ success: [{ request_range: { key: b('k') } }] });
    expect((read['header'] as Record<string, string>)['revision']).toBe('0');
    const after = (await put('k', 'v'))['header'] as Record<string, string>;
    expect(Number(after['revision'])).toBe(Number(before['revision']) + 1);
  });

  it('B18: an operation without content is refused; without responses there still is a revision', async () => {
    const refusal = await client.refusal('KV', 'Txn', { table, success: [{}] });
    expect(refusal).toEqual({
      code: status.INVALID_ARGUMENT,
      details: 'success[0].request must be set',
    });
    const answer = await txn({
      compare: [{ key: b('missing') }],
      success: [{ request_put: { key: b('k'), value: b('v') } }],
    });
    expect(answer).toMatchObject({ succeeded: false, responses: [] });
    expect(Number((answer['header'] as Record<string, string>)['revision'])).toBeGreaterThan(0);
  });

  it('the branch that is not taken changes nothing', async () => {
    const answer = await txn({
      compare: [{ key: b('lock') }],
      success: [{ request_put: { key: b('a'), value: b('1') } }],
      failure: [{ request_put: { key: b('lock'), value: b('me') } }],
    });
    expect(answer['succeeded']).toBe(false);
    expect(keysOf(await range(everything))).toEqual(['lock']);
  });
});
