/**
 * RFC 9113, section 8, and RFC 7541 as it shows on the wire: what a request may look like.
 */
import { describe, expect, it } from 'vitest';
import { sharedServer, startForTest } from './native-server.js';
import {
  CODE,
  DATA,
  END_HEADERS,
  END_STREAM,
  type Fields,
  GET,
  HEADERS,
  message,
  post,
  RawConnection,
  RST_STREAM,
  SETTINGS,
  settings,
  block,
} from './raw-connection.js';

const native = sharedServer();
const without = (name: string): Fields => GET.filter(([each]) => each !== name);
const COLLECT = post('/test.v1.Echo/Collect');

describe('8.1 requests', () => {
  it.each(['GET', 'HEAD', 'OPTIONS', 'POST'])('%s is answered', async (method) => {
    const connection = await RawConnection.open(native().port);
    connection.headers(1, [[':method', method], ...without(':method')]);
    const head = await connection.answer(1);
    expect(head[':status']).toBe(method === 'POST' ? '415' : '405');
    const length = Number(head['content-length']);
    if (method === 'HEAD') return connection.works();
    const { payload, flags } = await connection.on(1, DATA);
    expect([payload.length, flags]).toEqual([length, END_STREAM]);
  });

  it('POST with trailers is answered', async () => {
    const connection = await RawConnection.open(native().port);
    connection.headers(1, COLLECT, END_HEADERS);
    connection.send(DATA, 0, 1, message(Buffer.alloc(0)));
    connection.headers(1, [['x-trailer', 'test']]);
    expect((await connection.answer(1))[':status']).toBe('200');
    await connection.on(1, DATA);
    expect((await connection.answer(1))['grpc-status']).toBe('0');
  });

  it.each([COLLECT, GET])(
    'a second HEADERS that ends nothing cuts the stream',
    async (...fields) => {
      const connection = await RawConnection.open(native().port);
      connection.headers(1, fields, END_HEADERS);
      connection.headers(1, [['x', 'y']], END_HEADERS);
      await connection.streamError(1, CODE.protocol);
    },
  );

  it('a client that sends on after its answer of HTTP is told to stop', async () => {
    const connection = await RawConnection.open(native().port);
    connection.headers(1, GET, END_HEADERS);
    await connection.answer(1);
    connection.send(DATA, 0, 1, Buffer.alloc(100));
    await connection.streamError(1, CODE.none);
  });
});

describe('8.2 and 8.3 fields', () => {
  it.each<[string, Fields]>([
    ['an upper-case name', [...GET, ['X-TEST', 'ok']]],
    ['an empty name', [...GET, ['', 'ok']]],
    ['a line feed in a value', [...GET, ['x', 'a\nb']]],
    ['a NUL in a value that gRPC knows', [...GET, ['content-type', 'a\0b']]],
    ['a carriage return in a pseudo-header', [...without(':path'), [':path', '/\r']]],
    ['an unknown pseudo-header', [...GET, [':test', 'ok']]],
    ['a pseudo-header of responses', [...GET, [':status', '200']]],
    ['a pseudo-header behind others', [...without(':path'), ['x', 'y'], [':path', '/']]],
    ['connection', [...GET, ['connection', 'keep-alive']]],
    ['transfer-encoding', [...GET, ['transfer-encoding', 'chunked']]],
    ['te that is not trailers', [...GET, ['te', 'trailers, deflate']]],
    ['an empty :path', [...without(':path'), [':path', '']]],
    ['no :path', without(':path')],
    ['no :method', without(':method')],
    ['no :scheme', without(':scheme')],
    ['two :method', [[':method', 'GET'], ...GET]],
    ['two :scheme', [[':scheme', 'http'], ...GET]],
    ['two :path', [[':path', '/'], ...GET]],
    ['a length that is none', [...GET, ['content-length', '-1']]],
    ['two lengths', [...GET, ['content-length', '0'], ['content-length', '1']]],
    ['a length although nothing comes', [...GET, ['content-length', '1']]],
    ['a length although no message comes', [...COLLECT, ['content-length', '1']]],
  ])('%s cuts the stream', async (_title, fields) => {
    const connection = await RawConnection.open(native().port);
    connection.headers(1, fields);
    await connection.streamError(1, CODE.protocol);
  });

  it.each<[string, Fields]>([
    ['a pseudo-header', [[':method', 'GET']]],
    ['a header of connections', [['connection', 'close']]],
  ])('%s among the trailers cuts the stream', async (_title, trailers) => {
    for (const fields of [COLLECT, GET]) {
      const connection = await RawConnection.open(native().port);
      connection.headers(1, fields, END_HEADERS);
      connection.headers(1, trailers);
      await connection.streamError(1, CODE.protocol);
    }
  });

  it.each<[string, Fields, number]>([
    ['a call', COLLECT, 1],
    ['a call', COLLECT, 100],
    ['a request of HTTP', GET, 1],
  ])('%s whose DATA belie its content-length is cut', async (_title, fields, length) => {
    const connection = await RawConnection.open(native().port);
    connection.headers(1, [...fields, ['content-length', String(length)]], END_HEADERS);
    connection.send(DATA, END_STREAM, 1, message(Buffer.from('abc')));
    await connection.streamError(1, CODE.protocol);
  });
});

describe('5.1.2 concurrency', () => {
  it('streams beyond what was announced are refused, and what they said is still understood', async () => {
    const { port } = await startForTest({ concurrentStreamsMax: 3 });
    const connection = await RawConnection.open(port, settings([4, 0]));
    for (const id of [1, 3, 5, 7]) connection.headers(id, GET);
    await connection.streamError(7, CODE.refused);
    connection.send(RST_STREAM, 0, 1, Buffer.from([0, 0, 0, 8]));
    connection.headers(9, GET);
    expect(Object.keys(await connection.answer(9))).toContain(':status');
  });
});

describe('RFC 7541', () => {
  const valid = block(GET);
  it.each([
    ['2.3.3: an index behind the tables', Buffer.concat([valid, Buffer.from([0xc6])])],
    ['2.3.3: a name behind the tables', Buffer.concat([valid, Buffer.from([0x7f, 0x20, 1, 97])])],
    ['4.2: a change of size at the end', Buffer.concat([valid, Buffer.from([0x20])])],
    ['5.1: an integer without end', Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])],
    ['5.2: padding of more than seven bits', Buffer.from([0, 1, 0x61, 0x82, 0x1f, 0xff])],
    ['5.2: padding of zeroes', Buffer.from([0, 1, 0x61, 0x81, 0x18])],
    ['5.2: the end of string in a string', Buffer.from([0, 1, 0x61, 0x84, 0xff, 0xff, 0xff, 0xff])],
    ['6.1: index 0', Buffer.concat([valid, Buffer.from([0x80])])],
    [
      '6.3: a table larger than was announced',
      Buffer.concat([Buffer.from([0x3f, 0xe2, 0x1f]), valid]),
    ],
    ['a string longer than its block', Buffer.from([0, 0x7f, 1, 0x61])],
    ['a block that ends in a name', Buffer.from([0, 5, 0x61])],
  ])('%s: the connection ends', async (_title, bytes) => {
    const connection = await RawConnection.open(native().port);
    connection.send(HEADERS, END_HEADERS | END_STREAM, 1, bytes);
    await connection.connectionError(CODE.compression);
  });

  it('a table that shrinks to nothing and grows again is used as the client says', async () => {
    const connection = await RawConnection.open(native().port);
    connection.headers(1, post('/test.v1.Echo/Unary'), END_HEADERS);
    connection.send(DATA, END_STREAM, 1, message(Buffer.from('a')));
    await connection.answer(1);
    await connection.answer(1);
    connection.send(SETTINGS, 0, 0, settings([1, 0], [1, 4096]));
    connection.headers(3, post('/test.v1.Echo/Unary'), END_HEADERS);
    connection.send(DATA, END_STREAM, 3, message(Buffer.from('a')));
    const head = await connection.on(3, HEADERS);
    // The smallest size, then the last.
    expect(head.payload.subarray(0, 4)).toEqual(Buffer.from([0x20, 0x3f, 0xe1, 0x1f]));
  });
});
