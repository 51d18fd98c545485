/**
 * Every encoding against the same properties, and each against what only it can get wrong.
 */
import fc from 'fast-check';
import { compress as zstdCompress } from '@mongodb-js/zstd';
import { gzipSync, gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { GrpcError } from '../errors.js';
import { type MessageEncoding } from './encoding.js';
import { gzip } from './gzip.js';
import { identity } from './identity.js';
import { ACCEPTED_ENCODINGS, answerEncoding, findEncoding } from './registry.js';
import { snappy } from './snappy-framed.js';
import { zstd } from './zstd.js';

const LIMIT_BYTES = 4 * 1024 * 1024;
const PACKING = [gzip, snappy, zstd];

async function codeOf(run: () => Buffer | Promise<Buffer>): Promise<string> {
  try {
    await run();
  } catch (error) {
    return error instanceof GrpcError ? error.code : `another error: ${String(error)}`;
  }
  return 'none';
}

async function packed(encoding: MessageEncoding, bytes: Buffer): Promise<Buffer> {
  return Buffer.from(await encoding.compress(bytes));
}

describe.each([identity, ...PACKING])('$name', (encoding) => {
  it('gives back what it was given', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 5000 }), fc.nat(40), async (bytes, times) => {
        const plain = Buffer.concat(Array.from({ length: times }, () => Buffer.from(bytes)));
        const unpacked = await encoding.decompress(await packed(encoding, plain), LIMIT_BYTES);
        expect(unpacked.equals(plain)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('lets through a message exactly as large as the limit and none a byte larger', async () => {
    for (const limit of [1, 1000, 65_536, 65_537, 300_000, LIMIT_BYTES]) {
      const fits = await packed(encoding, Buffer.alloc(limit, 'ab'));
      expect((await encoding.decompress(fits, limit)).length).toBe(limit);
      const over = await packed(encoding, Buffer.alloc(limit + 1, 'ab'));
      expect(await codeOf(() => encoding.decompress(over, limit))).toBe('ENCODING_TOO_LARGE');
    }
  });
});

describe.each(PACKING)('$name', (encoding) => {
  it('answers a cut or changed message with an error of its own or the wrong bytes with none', async () => {
    const plain = Buffer.from('the quick brown fox jumps over the lazy dog. '.repeat(300));
    const whole = await packed(encoding, plain);
    expect(await codeOf(() => encoding.decompress(whole.subarray(0, whole.length - 1), 1e6))).toBe(
      'ENCODING_CORRUPT',
    );
    for (let at = 0; at < whole.length; at += Math.ceil(whole.length / 50)) {
      const changed = Buffer.from(whole);
      changed.writeUInt8(changed.readUInt8(at) ^ 0x55, at);
      const code = await codeOf(() => encoding.decompress(changed, LIMIT_BYTES));
      expect(code === 'none' || code.startsWith('ENCODING_')).toBe(true);
    }
  });

  it('never answers random bytes with anything but its own errors', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        const code = await codeOf(() => encoding.decompress(bytes, 100_000));
        expect(code === 'none' || code.startsWith('ENCODING_')).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});

describe('gzip', () => {
  it('is read by the platform and reads the platform', async () => {
    expect(gunzipSync(await gzip.compress(Buffer.from('abc'))).toString()).toBe('abc');
    const two = Buffer.concat([gzipSync('first,'), gzipSync('second')]);
    expect((await gzip.decompress(two, 100)).toString()).toBe('first,second');
  });

  it('is not fooled by a stream that understates its length', async () => {
    const bomb = Buffer.concat([gzipSync(Buffer.alloc(50_000_000)), gzipSync('x')]);
    expect(bomb.length).toBeLessThan(65_536);
    expect(await codeOf(() => gzip.decompress(bomb, LIMIT_BYTES))).toBe('ENCODING_TOO_LARGE');
    const honest = Buffer.concat([gzipSync(Buffer.alloc(1_000_000)), gzipSync('x')]);
    expect((await gzip.decompress(honest, LIMIT_BYTES)).length).toBe(1_000_001);
  });
});

describe('zstd', () => {
  it('unpacks what the native coder makes of several frames and skippable ones', async () => {
    const frame = await zstdCompress(Buffer.from('hello '.repeat(10)));
    const skippable = Buffer.from('502a4d1803000000aabbcc', 'hex');
    const plain = await zstd.decompress(Buffer.concat([frame, skippable, frame]), 1000);
    expect(plain.toString()).toBe('hello '.repeat(20));
  });

  it('refuses a frame for the window it asks for, whatever is in it', async () => {
    // Magic, no flags, window descriptor of 2 GiB and more, one empty last raw block.
    const frame = Buffer.from('28b52ffd00a8010000', 'hex');
    expect(await codeOf(() => zstd.decompress(frame, LIMIT_BYTES))).toBe('ENCODING_CORRUPT');
  });

  it('stops at the limit in a frame of many blocks that hides its size', async () => {
    // One-byte run-length blocks of 128 KiB: 4 bytes each on the wire.
    const block = Buffer.alloc(4);
    block.writeUIntLE((131_072 << 3) | (1 << 1), 0, 3);
    const last = Buffer.from([0x01, 0, 0]);
    const bomb = Buffer.concat([
      Buffer.from('28b52ffd0038', 'hex'),
      ...Array.from({ length: 4000 }, () => block),
      last,
    ]);
    const before = process.memoryUsage().rss;
    expect(await codeOf(() => zstd.decompress(bomb, LIMIT_BYTES))).toBe('ENCODING_TOO_LARGE');
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
  });

  it('unpacks an honest message of many small blocks block by block', async () => {
    const blocks = Array.from({ length: 4000 }, (_, index) => {
      const block = Buffer.alloc(3 + 5, `${index % 10}`);
      block.writeUIntLE(5 << 3, 0, 3);
      return block;
    });
    const frame = Buffer.concat([
      Buffer.from('28b52ffd0038', 'hex'),
      ...blocks,
      Buffer.from([0x01, 0, 0]),
    ]);
    expect((await zstd.decompress(frame, 20_000)).length).toBe(20_000);
    const inner = await zstdCompress(Buffer.from('ab'.repeat(600)));
    const many = Buffer.concat(Array.from({ length: 100 }, () => inner));
    const plain = await zstd.decompress(many, 120_000);
    expect(plain.equals(Buffer.from('ab'.repeat(60_000)))).toBe(true);
  });
});

describe('the registry', () => {
  it('knows four names and takes silence for identity', () => {
    expect(ACCEPTED_ENCODINGS).toBe('identity,gzip,snappy,zstd');
    expect(findEncoding(undefined)).toBe(identity);
    expect(findEncoding('snappy')).toBe(snappy);
    expect(findEncoding('br')).toBeUndefined();
  });

  it('answers in the encoding of the request unless the client lists others', () => {
    expect(answerEncoding(snappy, undefined)).toBe(snappy);
    expect(answerEncoding(snappy, 'gzip, snappy')).toBe(snappy);
    expect(answerEncoding(snappy, 'identity,gzip')).toBe(identity);
    expect(answerEncoding(identity, 'gzip')).toBe(identity);
  });

  it('answers in the first preferred encoding that the client lists, else as without any', () => {
    const preferred = ['zstd', 'snappy'];
    expect(answerEncoding(identity, 'identity,gzip, snappy,zstd', preferred)).toBe(zstd);
    expect(answerEncoding(gzip, 'identity,gzip, snappy', preferred)).toBe(snappy);
    expect(answerEncoding(gzip, 'identity,gzip', preferred)).toBe(gzip);
    expect(answerEncoding(gzip, 'identity', preferred)).toBe(identity);
    expect(answerEncoding(identity, 'deflate', preferred)).toBe(identity);
    // Nothing says that it can read anything else.
    expect(answerEncoding(identity, undefined, preferred)).toBe(identity);
  });
});
