/**
 * RFC 9113, sections 5.2 and 6.9: windows in both directions, and what is held back by them.
 */
import { describe, expect, it } from 'vitest';
import { STREAM_WINDOW_BYTES } from '../../src/http2/limits.js';
import { sharedServer, startForTest } from './native-server.js';
import {
  CODE,
  DATA,
  END_HEADERS,
  END_STREAM,
  GET,
  HEADERS,
  message,
  number32,
  post,
  RawConnection,
  SETTINGS,
  settings,
  WINDOW_UPDATE,
} from './raw-connection.js';

const native = sharedServer();
const WINDOW_MAX = 2 ** 31 - 1;

describe('answers', () => {
  it('are sent as far as the window of the stream goes, and on when it widens', async () => {
    const connection = await RawConnection.open(native().port, settings([4, 1]));
    connection.headers(1, GET);
    expect((await connection.on(1, DATA)).payload.length).toBe(1);
    await connection.works();
    connection.send(WINDOW_UPDATE, 0, 1, number32(2));
    expect((await connection.on(1, DATA)).payload.length).toBe(2);
    connection.send(WINDOW_UPDATE, 0, 1, number32(1000));
    expect((await connection.on(1, DATA)).flags).toBe(END_STREAM);
  });

  it('follow a change of the initial window, also below zero', async () => {
    const connection = await RawConnection.open(native().port, settings([4, 0]));
    connection.headers(1, GET);
    await connection.on(1, HEADERS);
    connection.send(SETTINGS, 0, 0, settings([4, 3]));
    expect((await connection.on(1, DATA)).payload.length).toBe(3);
    // Now it is -1.
    connection.send(SETTINGS, 0, 0, settings([4, 2]));
    connection.send(WINDOW_UPDATE, 0, 1, number32(2));
    expect((await connection.on(1, DATA)).payload.length).toBe(1);
  });

  it('of many streams share the window of the connection, and none starves', async () => {
    const connection = await RawConnection.open(native().port, settings([4, WINDOW_MAX]));
    const ids = [1, 3, 5, 7, 9];
    for (const id of ids) {
      connection.headers(id, post('/test.v1.Echo/Unary'), END_HEADERS);
      for (let sent = 0; sent < 60_000; sent += 12_000) {
        const bytes = message(Buffer.alloc(60_000 - 5)).subarray(sent, sent + 12_000);
        connection.send(DATA, sent + 12_000 === 60_000 ? END_STREAM : 0, id, bytes);
      }
    }
    const received = new Map<number, number>();
    let total = 0;
    const take = async (until: number): Promise<void> => {
      while (total < until) {
        const { id, payload } = await connection.until(({ type }) => type === DATA);
        received.set(id, (received.get(id) ?? 0) + payload.length);
        total += payload.length;
      }
    };
    await take(65_535);
    await connection.works();
    expect(connection.frames.filter(({ type }) => type === DATA)).toEqual([]);
    connection.send(WINDOW_UPDATE, 0, 0, number32(4 * 16_384));
    await take(65_535 + 4 * 16_384);
    expect(received.size).toBe(5);
    connection.send(WINDOW_UPDATE, 0, 0, number32(WINDOW_MAX - 65_536));
    await take(300_000);
    expect([...received.values()]).toEqual(ids.map(() => 60_000));
  });

  it('with header blocks of 8 to 40 KiB arrive whole, also two in one turn', async () => {
    for (const length of [8_000, 8_300, 12_000, 16_384, 17_000, 40_000]) {
      const { port } = await startForTest({}, {}, (server) => {
        server.register('/t.S/M', 'unary', (request, call) => {
          call.setHeader('x', request.toString().repeat(length));
          return request;
        });
      });
      const connection = await RawConnection.open(port);
      const call = (id: number, letter: string): void => {
        connection.headers(id, post('/t.S/M'), END_HEADERS);
        connection.send(DATA, END_STREAM, id, message(Buffer.from(letter)));
      };
      connection.socket.cork();
      // Letters that Huffman coding does not make shorter.
      call(1, '{');
      call(3, '|');
      connection.socket.uncork();
      for (const [id, letter] of [
        [1, '{'],
        [3, '|'],
      ] as const) {
        const parts = [await connection.on(id, HEADERS)];
        while (((parts.at(-1)?.flags ?? 4) & END_HEADERS) === 0)
          parts.push(await connection.until(() => true));
        const whole = Buffer.concat(parts.map(({ payload }) => payload)).toString('latin1');
        expect(whole.split(letter).length - 1).toBe(length);
      }
    }
  });
});

describe('WINDOW_UPDATE', () => {
  it.each([
    ['of 0 on the connection', CODE.protocol, 0],
    ['beyond 2^31 - 1 on the connection', CODE.flowControl, WINDOW_MAX],
  ])('%s ends it', async (_title, code, more) => {
    const connection = await RawConnection.open(native().port);
    connection.send(WINDOW_UPDATE, 0, 0, number32(more));
    await connection.connectionError(code);
  });

  it.each([
    ['of 0 on a stream', CODE.protocol, 0],
    ['beyond 2^31 - 1 on a stream', CODE.flowControl, WINDOW_MAX],
  ])('%s cuts it', async (_title, code, more) => {
    for (const fields of [GET, post('/test.v1.Echo/Chat')]) {
      const connection = await RawConnection.open(native().port);
      connection.headers(1, fields, END_HEADERS);
      connection.send(WINDOW_UPDATE, 0, 1, number32(more));
      await connection.streamError(1, code);
    }
  });

  it('of three bytes ends the connection', async () => {
    const connection = await RawConnection.open(native().port);
    connection.send(WINDOW_UPDATE, 0, 0, Buffer.alloc(3));
    await connection.connectionError(CODE.frameSize);
  });

  it('that widens all windows beyond 2^31 - 1 by SETTINGS ends the connection', async () => {
    const connection = await RawConnection.open(native().port, settings([4, 0]));
    connection.headers(1, post('/test.v1.Echo/Chat'), END_HEADERS);
    connection.send(WINDOW_UPDATE, 0, 1, number32(1000));
    connection.send(SETTINGS, 0, 0, settings([4, WINDOW_MAX]));
    await connection.connectionError(CODE.flowControl);
  });
});

describe('requests', () => {
  const never = (): Promise<Buffer> => new Promise(() => undefined);

  it('may fill the window of a stream and no more', async () => {
    const { port } = await startForTest({}, {}, (server) => {
      server.register('/t.S/Wait', 'client-stream', never);
    });
    const connection = await RawConnection.open(port);
    connection.headers(1, post('/t.S/Wait'), END_HEADERS);
    for (let sent = 0; sent < STREAM_WINDOW_BYTES; sent += 16_384) {
      connection.send(DATA, 0, 1, Buffer.alloc(16_384));
    }
    await connection.works();
    connection.send(DATA, 0, 1, Buffer.alloc(1));
    await connection.streamError(1, CODE.flowControl);
  });

  it('get their window back for padding, and for what is read, never more', async () => {
    const connection = await RawConnection.open(native().port);
    connection.headers(1, post('/test.v1.Echo/Collect'), END_HEADERS);
    const padded = Buffer.concat([Buffer.of(255), message(Buffer.alloc(0)), Buffer.alloc(255)]);
    let sent = 0;
    let back = 0;
    while (sent < 4 * STREAM_WINDOW_BYTES) {
      connection.send(DATA, 8, 1, padded);
      sent += padded.length;
      if (sent - back < STREAM_WINDOW_BYTES - 1000) continue;
      back += (await connection.on(1, WINDOW_UPDATE)).payload.readUInt32BE();
      expect(back).toBeLessThanOrEqual(sent);
    }
    await connection.works();
  });
});
