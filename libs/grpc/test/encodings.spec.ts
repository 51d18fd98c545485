/**
 * Message encodings and size limits on the wire, in frames made by hand.
 */
import { compressionAlgorithms } from '@grpc/grpc-js';
import { compress as zstdCompress } from '@mongodb-js/zstd';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type MessageEncoding } from '../src/encoding/encoding.js';
import { gzip } from '../src/encoding/gzip.js';
import { snappy } from '../src/encoding/snappy-framed.js';
import { zstd } from '../src/encoding/zstd.js';
import { type CallContext, type GrpcServer, type MessageSink } from '../src/transport.js';
import { echo, echoClient, PATH, startServer, unary } from './echo-service.js';
import { frame, rawCall } from './raw-client.js';

const LIMIT = 4 * 1024 * 1024;

describe('answers in snappy', () => {
  it('that would not become smaller leave as they are; what can be packed behind them is', async () => {
    const { port } = await startServer();
    const dense = randomBytes(100_000);
    const light = Buffer.alloc(100_000, 'plain bytes ');
    const sent = [dense, dense, light, light, dense];
    const body = Buffer.concat(sent.map((bytes) => frame(bytes)));
    const answer = await rawCall(port, PATH.chat, { 'grpc-encoding': 'snappy' }, body);
    expect(answer.status).toBe('0');
    expect(answer.messages.map(({ flag }) => flag)).toEqual([0, 0, 1, 1, 0]);
    for (const [nth, { flag, bytes }] of answer.messages.entries()) {
      const plain = flag === 1 ? await snappy.decompress(bytes, LIMIT) : bytes;
      expect(plain.equals(sent[nth] ?? Buffer.alloc(0))).toBe(true);
    }
  });
});

describe.each([gzip, snappy, zstd])('a request in $name', (encoding: MessageEncoding) => {
  it('is unpacked, and answered in the same encoding', async () => {
    const { port } = await startServer();
    for (const size of [1, 1000, 100_000, LIMIT]) {
      const plain = Buffer.alloc(size, 'plain bytes ');
      const answer = await rawCall(
        port,
        PATH.unary,
        { 'grpc-encoding': encoding.name, 'grpc-accept-encoding': `identity,${encoding.name}` },
        frame(await encoding.compress(plain), 1),
      );
      expect(answer.status).toBe('0');
      expect(answer.headers['grpc-encoding']).toBe(encoding.name);
      expect(answer.messages.map(({ flag }) => flag)).toEqual([1]);
      const [first] = answer.messages;
      const unpacked = await encoding.decompress(first?.bytes ?? Buffer.alloc(0), LIMIT);
      expect(unpacked.equals(plain)).toBe(true);
    }
  });

  it('is answered plainly when the client lists other encodings only', async () => {
    const { port } = await startServer();
    const answer = await rawCall(
      port,
      PATH.unary,
      { 'grpc-encoding': encoding.name, 'grpc-accept-encoding': 'identity' },
      frame(await encoding.compress(Buffer.from('abc')), 1),
    );
    expect(answer.headers['grpc-encoding']).toBe('identity');
    expect(answer.messages).toEqual([{ flag: 0, bytes: Buffer.from('abc') }]);
  });

  it('may hold messages that are not packed, and empty ones', async () => {
    const { port } = await startServer();
    const body = Buffer.concat([
      frame(Buffer.from('plain')),
      frame(await encoding.compress(Buffer.from('packed')), 1),
      frame(Buffer.alloc(0)),
    ]);
    const answer = await rawCall(port, PATH.chat, { 'grpc-encoding': encoding.name }, body);
    expect(answer.status).toBe('0');
    expect(answer.messages.map(({ flag }) => flag)).toEqual([1, 1, 0]);
    const texts = await Promise.all(
      answer.messages.map(async ({ flag, bytes }) =>
        (flag === 1 ? await encoding.decompress(bytes, 100) : bytes).toString(),
      ),
    );
    expect(texts).toEqual(['plain', 'packed', '']);
  });

  it('ends with ResourceExhausted when it unpacks to more than the limit', async () => {
    const { port } = await startServer();
    const body = frame(await encoding.compress(Buffer.alloc(LIMIT + 1)), 1);
    const answer = await rawCall(port, PATH.unary, { 'grpc-encoding': encoding.name }, body);
    expect([answer.status, answer.message]).toEqual([
      '8',
      'grpc: received message after decompression larger than max 4194304',
    ]);
  });

  it('ends with Internal when it is damaged', async () => {
    const { port } = await startServer();
    const body = frame(Buffer.from('this was never packed at all'), 1);
    const answer = await rawCall(port, PATH.unary, { 'grpc-encoding': encoding.name }, body);
    expect(answer.status).toBe('13');
    expect(answer.message).toContain('grpc: failed to decompress the received message');
  });
});

describe('the encoding of a request', () => {
  it('is refused by name when it is unknown, with the list of those that are known', async () => {
    const { port } = await startServer();
    const answer = await rawCall(
      port,
      PATH.unary,
      { 'grpc-encoding': 'brotli' },
      frame(Buffer.from('abc')),
    );
    expect([answer.status, answer.message]).toEqual([
      '12',
      'grpc: Decompressor is not installed for grpc-encoding "brotli"',
    ]);
    expect(answer.headers['grpc-accept-encoding']).toBe('identity,gzip,snappy,zstd');
  });

  it('must be named when a message is packed, and flags must be known', async () => {
    const { port } = await startServer();
    const packed = await rawCall(port, PATH.unary, {}, frame(gzipSync('abc'), 1));
    expect([packed.status, packed.message]).toEqual([
      '13',
      'grpc: compressed flag set with identity or empty encoding',
    ]);
    const flagged = await rawCall(port, PATH.unary, {}, frame(Buffer.from('abc'), 7));
    expect([flagged.status, flagged.message]).toEqual([
      '13',
      'grpc: received unexpected payload format 7',
    ]);
  });

  it('does not let many small bombs on one stream fill the memory', async () => {
    let seen = 0;
    const { port } = await startServer({}, undefined, undefined, (server) => {
      server.register(PATH.collect, 'client-stream', async (requests) => {
        for await (const request of requests) {
          seen += request.length;
          await sleep(5);
        }
        return Buffer.alloc(0);
      });
    });
    const bomb = frame(await zstdCompress(Buffer.alloc(LIMIT)), 1);
    const bombs = Buffer.concat(Array.from({ length: 100 }, () => bomb));
    expect(bombs.length).toBeLessThan(30_000);
    const before = process.memoryUsage().arrayBuffers;
    let peak = 0;
    const timer = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
    }, 5);
    const answer = await rawCall(port, PATH.collect, { 'grpc-encoding': 'zstd' }, bombs);
    clearInterval(timer);
    expect([answer.status, seen]).toEqual(['0', 100 * LIMIT]);
    expect(peak).toBeLessThan(160 * 1024 * 1024);
  });

  it('may be gzip from a client of grpc-js', async () => {
    const { port } = await startServer();
    const client = echoClient(`127.0.0.1:${port}`, undefined, {
      'grpc.default_compression_algorithm': compressionAlgorithms.gzip,
    });
    const payload = Buffer.alloc(500_000, 'gzip me ');
    expect((await unary(client, { payload })).payload.equals(payload)).toBe(true);
  });
});

describe('the size of a message', () => {
  it('is refused over the limit in the words of a Go server, before it is read', async () => {
    const { port } = await startServer();
    const header = Buffer.from([0, 0, 0x40, 0, 1]);
    const answer = await rawCall(port, PATH.unary, {}, header);
    expect([answer.status, answer.message]).toEqual([
      '8',
      'grpc: received message larger than max (4194305 vs. 4194304)',
    ]);
  });

  it('is refused in the middle of a client stream as well', async () => {
    const { port } = await startServer({ receiveBytesMax: 1000 });
    const small = echo.Collect.requestSerialize({ payload: Buffer.alloc(100) });
    const answer = await rawCall(
      port,
      PATH.collect,
      {},
      Buffer.concat([frame(small), frame(Buffer.alloc(1001)), frame(small)]),
    );
    expect([answer.status, answer.message]).toEqual([
      '8',
      'grpc: received message larger than max (1001 vs. 1000)',
    ]);
  });

  it('has no limit on the way out', async () => {
    const { port } = await startServer({}, undefined, undefined, (server) => {
      server.register(PATH.unary, 'unary', () => Buffer.alloc(20_000_000, 'z'));
    });
    const answer = await rawCall(port, PATH.unary, {}, frame(Buffer.alloc(0)));
    expect(answer.status).toBe('0');
    expect(answer.messages[0]?.bytes.length).toBe(20_000_000);
  });
});

describe('a method that says how its answers are packed', () => {
  const METHOD = '/test.v1.Other/Tell';
  const small = Buffer.alloc(99, 'a');
  const large = Buffer.alloc(100, 'a');
  const prepare = (server: GrpcServer): void => {
    const tell = (_: Buffer, __: CallContext, sink: MessageSink): void => {
      for (const message of [small, large, small]) void sink.write(message);
    };
    const packing = { encodings: ['zstd', 'snappy'], bytesMin: 100 } as const;
    server.register(METHOD, 'server-stream', tell, packing);
  };
  const ask = async (headers: Record<string, string>) => {
    const { port } = await startServer({}, 'http://127.0.0.1:0', undefined, prepare);
    return rawCall(port, METHOD, headers, frame(Buffer.alloc(0)));
  };

  it('packs them in the best encoding that the client accepts, but for small ones, in order', async () => {
    for (const [accepted, encoding] of [
      ['identity,gzip,snappy', snappy],
      ['snappy,zstd', zstd],
    ] as const) {
      const answer = await ask({ 'grpc-accept-encoding': accepted });
      expect(answer.headers['grpc-encoding']).toBe(encoding.name);
      expect(answer.messages.map(({ flag }) => flag)).toEqual([0, 1, 0]);
      const [first, packed] = answer.messages;
      expect(first?.bytes).toEqual(small);
      expect(await encoding.decompress(packed?.bytes ?? small, LIMIT)).toEqual(large);
    }
  });

  it('packs nothing for a client that accepts none of them, or does not say what it accepts', async () => {
    const silent: Record<string, string> = {};
    for (const headers of [{ 'grpc-accept-encoding': 'identity,deflate,gzip' }, silent]) {
      const answer = await ask(headers);
      expect(answer.headers['grpc-encoding']).toBe('identity');
      expect(answer.messages.map(({ flag }) => flag)).toEqual([0, 0, 0]);
    }
  });
});
