/**
 * What one connection may cost: each bound of `http2/limits.ts` by its name, with a client that goes too
 * far, and one beside it that does not notice.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  CONTINUATIONS_MAX,
  CONTROL_FRAMES_BURST,
  HEADER_LIST_BYTES_MAX,
  RESETS_BURST,
} from '../../src/http2/limits.js';
import { type ConnectionLimits } from '../../src/native/server-limits.js';
import { type GrpcServer } from '../../src/transport.js';
import { registerEcho } from '../echo-service.js';
import { innocent, startForTest } from './native-server.js';
import {
  block,
  CODE,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  frameBytes,
  GET,
  HEADERS,
  message,
  number32,
  PING,
  post,
  PRIORITY,
  RawConnection,
  RST_STREAM,
  SETTINGS,
  settings,
  WINDOW_UPDATE,
} from './raw-connection.js';

const UNARY = post('/test.v1.Echo/Unary');
const EIGHT = Buffer.alloc(8);
const MIB = 1024 * 1024;

interface Attacked {
  server: GrpcServer;
  attacker: RawConnection;
  port: number;
}

/** Runs an attack; a call beside it is answered before, during and after. */
async function beside(
  attack: (attacked: Attacked) => Promise<void>,
  limits: Partial<ConnectionLimits> = {},
  prepare: (server: GrpcServer) => void = registerEcho,
  payload: Buffer = Buffer.alloc(0),
): Promise<void> {
  const { server, port } = await startForTest({}, limits, prepare);
  const call = await innocent(port);
  expect(await call()).toBe('innocent 0');
  const attacker = await RawConnection.open(port, payload);
  const over = attack({ server, attacker, port });
  expect(await call()).toBe('innocent 0');
  await over;
  expect(await call()).toBe('innocent 0');
  await expect.poll(() => server.activeCalls, { timeout: 10_000 }).toBe(0);
}

function times(count: number, bytes: Buffer): Buffer {
  return Buffer.concat(Array.from({ length: count }, () => bytes));
}

describe('frames that cost more than they say', () => {
  it.each<[string, Buffer]>([
    ['PING', frameBytes(PING, 0, 0, EIGHT)],
    ['PING acknowledgements', frameBytes(PING, 1, 0, EIGHT)],
    ['SETTINGS', frameBytes(SETTINGS, 0, 0, settings([4, 70_000]))],
    ['PRIORITY', frameBytes(PRIORITY, 0, 9, Buffer.concat([number32(0), Buffer.of(1)]))],
    ['frames of unknown types', frameBytes(0x20, 0, 0, EIGHT)],
    ['empty DATA', frameBytes(DATA, 0, 1, Buffer.alloc(0))],
    ['DATA of padding', frameBytes(DATA, 8, 1, Buffer.of(0))],
    ['DATA on a stream that has ended', frameBytes(DATA, 0, 3, Buffer.of(0))],
    ['GOAWAY', frameBytes(7, 0, 0, EIGHT)],
  ])('CONTROL_FRAMES_BURST: a flood of %s ends the connection', async (_title, bytes) => {
    await beside(async ({ attacker }) => {
      attacker.headers(1, post('/test.v1.Echo/Chat'), END_HEADERS);
      attacker.headers(3, GET);
      attacker.raw(times(CONTROL_FRAMES_BURST * 4, bytes));
      await attacker.connectionError(CODE.calm);
    });
  });

  it('CONTINUATIONS_MAX: a header block without end ends the connection', async () => {
    await beside(async ({ attacker }) => {
      attacker.send(HEADERS, 0, 1, block(GET));
      attacker.raw(times(CONTINUATIONS_MAX + 1, frameBytes(CONTINUATION, 0, 1, Buffer.alloc(0))));
      await attacker.connectionError(CODE.calm);
    });
  });

  it('HEADER_BLOCK_BYTES_MAX: one that is too long before it is decoded ends it too', async () => {
    await beside(async ({ attacker }) => {
      attacker.send(HEADERS, 0, 1, block(GET));
      attacker.raw(times(5, frameBytes(CONTINUATION, 0, 1, Buffer.alloc(16_384))));
      await attacker.connectionError(CODE.calm);
    });
  });

  it('HEADER_LIST_BYTES_MAX: a list that a few indexes unfold to cuts the stream', async () => {
    await beside(async ({ attacker }) => {
      const value = Buffer.alloc(4000, 'a');
      const kept = Buffer.concat([Buffer.from([0x40, 1, 0x78, 0x7f, 0xa1, 0x1e]), value]);
      const bomb = Buffer.alloc(Math.ceil(HEADER_LIST_BYTES_MAX / 4000) + 1, 0xbe);
      attacker.send(HEADERS, 5, 1, Buffer.concat([block(GET), kept, bomb]));
      await attacker.streamError(1, CODE.calm);
    });
  });
});

describe('streams', () => {
  it('RESETS_BURST: rapid reset ends the connection', async () => {
    await beside(async ({ attacker }) => {
      for (let id = 1; id < RESETS_BURST * 6; id += 2) {
        attacker.headers(id, UNARY, END_HEADERS);
        attacker.send(RST_STREAM, 0, id, number32(CODE.cancel));
      }
      await attacker.connectionError(CODE.calm);
    });
  });

  it('RESETS_BURST: making the server cut its streams counts the same', async () => {
    await beside(async ({ attacker }) => {
      for (let id = 1; id < RESETS_BURST * 6; id += 2) {
        attacker.headers(id, UNARY, END_HEADERS);
        attacker.send(WINDOW_UPDATE, 0, id, number32(0));
      }
      await attacker.connectionError(CODE.calm);
    });
  });

  it('OUTBOUND_BYTES_MAX: no new ones while too many answers wait to be taken', async () => {
    await beside(
      async ({ attacker }) => {
        for (let id = 1; id <= 41; id += 2) {
          attacker.headers(id, UNARY, END_HEADERS);
          for (let at = 0; at < 64; at += 8) {
            const bytes = message(Buffer.alloc(64 * 1024)).subarray(at * 1024, at * 1024 + 8192);
            attacker.send(DATA, 0, id, bytes);
          }
          attacker.send(DATA, END_STREAM, id, Buffer.alloc(5));
        }
        await attacker.until(
          ({ type, payload }) => type === RST_STREAM && payload.readUInt32BE() === CODE.refused,
        );
      },
      { outboundBytesMax: MIB },
      registerEcho,
      settings([4, 0]),
    );
  });

  it('INBOUND_BYTES_MAX: messages that are never whole count, and are refused beyond it', async () => {
    await beside(
      async ({ attacker, server }) => {
        for (let id = 1; id <= 31; id += 2) {
          attacker.headers(id, post('/test.v1.Echo/Chat'), END_HEADERS);
          const part = message(Buffer.alloc(1024 * 1024)).subarray(0, 96 * 1024);
          for (let at = 0; at < part.length; at += 16_384) {
            attacker.send(DATA, 0, id, part.subarray(at, at + 16_384));
          }
        }
        await attacker.until(({ type, flags }) => type === HEADERS && (flags & END_STREAM) !== 0);
        attacker.socket.destroy();
        await expect.poll(() => server.activeCalls).toBe(0);
      },
      { inboundBytesMax: MIB },
    );
  });

  it('INBOUND_BYTES_MAX: nothing is left of it when calls have ended', async () => {
    await beside(
      async ({ attacker }) => {
        attacker.send(WINDOW_UPDATE, 0, 0, number32(2 ** 30));
        for (let id = 1; id <= 201; id += 2) {
          attacker.headers(id, post('/test.v1.Echo/Collect'), END_HEADERS);
          const whole = message(
            Buffer.concat([Buffer.from([0x0a, 0x80, 0x40]), Buffer.alloc(8192)]),
          );
          attacker.send(DATA, 0, id, whole.subarray(0, 5000));
          if (id % 4 === 1) attacker.send(RST_STREAM, 0, id, number32(CODE.cancel));
          else attacker.send(DATA, END_STREAM, id, whole.subarray(5000));
          if (id % 4 === 3) {
            const trailers = await attacker.until(
              ({ id: on, type, flags }) =>
                on === id && type === HEADERS && (flags & END_STREAM) !== 0,
            );
            expect(trailers.payload.length).toBeLessThan(30);
          }
        }
      },
      { inboundBytesMax: 64 * 1024 },
    );
  });

  it('a small packed message does not unfold beyond what may be received', async () => {
    await beside(async ({ attacker }) => {
      const bomb = gzipSync(Buffer.alloc(64 * MIB));
      const packed = message(bomb);
      packed[0] = 1;
      attacker.headers(1, post('/test.v1.Echo/Unary', [['grpc-encoding', 'gzip']]), END_HEADERS);
      for (let at = 0; at < packed.length; at += 16_384) {
        const piece = packed.subarray(at, at + 16_384);
        attacker.send(DATA, at + 16_384 >= packed.length ? END_STREAM : 0, 1, piece);
      }
      expect((await attacker.answer(1))['grpc-status']).toBe('8');
    });
  });
});

describe('time', () => {
  it('HANDSHAKE_TIMEOUT_MS: a client that never finishes its preface is cut', async () => {
    await beside(
      async ({ port }) => {
        const slow = await RawConnection.bare(port);
        slow.raw('PRI * HTTP/2.0');
        await slow.connectionError(CODE.settingsTimeout);
      },
      { handshakeTimeoutMs: 200 },
    );
  });

  it('REQUEST_STALL_MS: a frame that comes byte by byte does not last', async () => {
    await beside(
      async ({ attacker }) => {
        const bytes = frameBytes(HEADERS, 5, 1, block(GET));
        for (const byte of bytes) {
          if (attacker.ended) break;
          attacker.raw(Buffer.of(byte));
          await sleep(50);
        }
        await attacker.connectionError(CODE.settingsTimeout);
      },
      { requestStallMs: 400 },
    );
  });

  it('REQUEST_STALL_MS: frames that come one after the other are not one slow frame', async () => {
    await beside(
      async ({ attacker }) => {
        // Whenever somebody looks, half of a frame is there.
        const half = frameBytes(0x20, 0, 0, Buffer.alloc(100));
        attacker.raw(half.subarray(0, 50));
        for (let round = 0; round < 40; round++) {
          attacker.raw(Buffer.concat([half.subarray(50), half.subarray(0, 50)]));
          await sleep(100);
        }
        attacker.raw(half.subarray(50));
        await attacker.works();
      },
      { requestStallMs: 3_000 },
    );
  });

  it('REQUEST_STALL_MS: a unary request that stands still is answered with a status', async () => {
    await beside(
      async ({ attacker }) => {
        attacker.headers(1, UNARY, END_HEADERS);
        expect((await attacker.answer(1))['grpc-status']).toBe('4');
      },
      { requestStallMs: 200 },
    );
  });

  it('ANSWER_STALL_MS: an answer whose window never opens is given up', async () => {
    await beside(
      async ({ attacker }) => {
        attacker.headers(1, UNARY, END_HEADERS);
        attacker.send(DATA, END_STREAM, 1, message(Buffer.alloc(100)));
        attacker.headers(3, GET);
        const cut = [await attacker.on(1, RST_STREAM), await attacker.on(3, RST_STREAM)];
        expect(cut.map(({ payload }) => payload.readUInt32BE())).toEqual([
          CODE.cancel,
          CODE.cancel,
        ]);
      },
      { answerStallMs: 200 },
      registerEcho,
      settings([4, 0]),
    );
  });

  it('READER_STALL_MS: neither is a stream that nobody reads kept for ever', async () => {
    await beside(
      async ({ attacker }) => {
        attacker.headers(1, post('/t.S/Endless'), END_HEADERS);
        attacker.send(DATA, END_STREAM, 1, message(EIGHT));
        await attacker.streamError(1, CODE.cancel);
      },
      { readerStallMs: 200 },
      (server) => {
        registerEcho(server);
        server.register('/t.S/Endless', 'server-stream', async (_request, _call, sink) => {
          for (;;) await sink.write(Buffer.alloc(1000));
        });
      },
      settings([4, 0]),
    );
  });

  it('WRITE_STALL_MS: a client that reads nothing from its socket is cut, with flat memory', async () => {
    await beside(
      async ({ attacker, server }) => {
        const before = process.memoryUsage().rss;
        attacker.socket.pause();
        attacker.send(WINDOW_UPDATE, 0, 0, number32(2 ** 30));
        attacker.headers(1, post('/t.S/Endless'), END_HEADERS);
        attacker.send(DATA, END_STREAM, 1, message(EIGHT));
        await expect.poll(() => server.activeCalls, { timeout: 10_000 }).toBe(1);
        await expect.poll(() => server.activeCalls, { timeout: 20_000 }).toBe(0);
        expect(process.memoryUsage().rss - before).toBeLessThan(16 * MIB);
      },
      { writeStallMs: 500 },
      (server) => {
        registerEcho(server);
        server.register('/t.S/Endless', 'server-stream', async (_request, _call, sink) => {
          for (;;) await sink.write(Buffer.alloc(64 * 1024));
        });
      },
      settings([4, 2 ** 30]),
    );
  });
});
