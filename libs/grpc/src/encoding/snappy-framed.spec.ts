/**
 * The framed snappy stream: against a backup made by another implementation, against the one in the
 * snappy package, in pieces, and in all the ways a stream can be wrong.
 */
import fc from 'fast-check';
import { Compressor, Decompressor } from 'snappy';
import { existsSync, readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { GrpcError } from '../errors.js';
import {
  createSnappyDecodeStream,
  createSnappyEncodeStream,
  snappy,
  SnappyFramedDecoder,
  SnappyFramedEncoder,
} from './snappy-framed.js';

const BACKUP = new URL(
  '../../../../../shared/data/regatta/backup/regatta-test.bak',
  import.meta.url,
);
const IDENTIFIER = Buffer.from('ff060000734e61507059', 'hex');

function decodeAll(stream: Buffer, pieceBytes: number): Buffer {
  const decoder = new SnappyFramedDecoder();
  const out: Buffer[] = [];
  for (let at = 0; at < stream.length; at += pieceBytes) {
    out.push(...decoder.push(stream.subarray(at, at + pieceBytes)));
  }
  decoder.end();
  return Buffer.concat(out);
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof GrpcError ? error.message : String(error);
  }
  return 'none';
}

describe('framed snappy', () => {
  it('reads the 1000 records of a recorded backup, in one piece and byte by byte', () => {
    if (!existsSync(BACKUP)) {
      console.warn('SKIPPED: the recorded backup is not beside the repository');
      return;
    }
    const file = readFileSync(BACKUP);
    const plain = decodeAll(file, file.length);
    expect(decodeAll(file, 1).equals(plain)).toBe(true);
    let records = 0;
    let at = 0;
    while (at < plain.length) {
      const length = Number(plain.readBigUInt64LE(at));
      if (records === 0) {
        expect(length).toBe(39);
        expect(plain.subarray(at + 8, at + 22).toString('latin1')).toBe('\n\fregatta-test');
      }
      at += 8 + length;
      records += 1;
    }
    expect(at).toBe(plain.length);
    expect(records).toBe(1000);
  });

  it('gives the same bytes however the input and the stream are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 2000 }))),
        fc.integer({ min: 1, max: 100_000 }),
        (parts, pieceBytes) => {
          const encoder = new SnappyFramedEncoder();
          const plain: Buffer[] = [];
          const stream: Buffer[] = [];
          for (const [bytes, times] of parts) {
            const part = Buffer.concat(Array.from({ length: times }, () => Buffer.from(bytes)));
            plain.push(Buffer.from(part));
            stream.push(...encoder.push(part).map((piece) => Buffer.from(piece)));
            part.fill(0);
          }
          stream.push(...encoder.end());
          const decoded = decodeAll(Buffer.concat(stream), pieceBytes);
          expect(decoded.equals(Buffer.concat(plain))).toBe(true);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('is read by, and reads, another implementation', async () => {
    const plain = Buffer.from('0123456789abcdef'.repeat(20_000));
    const decompressor = new Decompressor();
    const theirs = [decompressor.update(await snappy.compress(plain)), await decompressor.finish()];
    expect(Buffer.concat(theirs).equals(plain)).toBe(true);
    const compressor = new Compressor();
    const stream = Buffer.concat([compressor.update(plain), await compressor.finish()]);
    expect((await snappy.decompress(stream, plain.length)).equals(plain)).toBe(true);
  });

  it('passes files through its streams', async () => {
    const plain = Buffer.from('line of a file\n'.repeat(50_000));
    const stream = Readable.from([plain.subarray(0, 100_001), plain.subarray(100_001)])
      .pipe(createSnappyEncodeStream())
      .pipe(createSnappyDecodeStream());
    expect((await buffer(stream)).equals(plain)).toBe(true);
    const cut = (await buffer(Readable.from([plain]).pipe(createSnappyEncodeStream()))).subarray(
      0,
      -1,
    );
    await expect(buffer(Readable.from([cut]).pipe(createSnappyDecodeStream()))).rejects.toThrow(
      'snappy: the stream is cut short',
    );
  });

  it('skips what may be skipped and refuses what may not', () => {
    const skippable = Buffer.from([0x80, 3, 0, 0, 1, 2, 3]);
    const padding = Buffer.from([0xfe, 1, 0, 0, 0]);
    const plain = new SnappyFramedEncoder();
    const [, ...chunk] = [...plain.push(Buffer.from('abc')), ...plain.end()];
    const stream = Buffer.concat([IDENTIFIER, skippable, IDENTIFIER, padding, ...chunk]);
    expect(decodeAll(stream, 3).toString()).toBe('abc');
    const reserved = Buffer.concat([IDENTIFIER, Buffer.from([0x02, 1, 0, 0, 0])]);
    expect(codeOf(() => decodeAll(reserved, 99))).toContain('reserved');
  });

  it('names what is wrong with a stream', () => {
    const encoder = new SnappyFramedEncoder();
    const whole = Buffer.concat([...encoder.push(Buffer.alloc(500, 'xy')), ...encoder.end()]);
    expect(codeOf(() => decodeAll(whole.subarray(IDENTIFIER.length), 99))).toContain('identifier');
    const changed = Buffer.from(whole);
    changed.writeUInt8(changed.readUInt8(15) ^ 1, 15);
    expect(codeOf(() => decodeAll(changed, 99))).toContain('checksum');
    const long = Buffer.concat([IDENTIFIER, Buffer.from([0x00, 0xff, 0xff, 0xff])]);
    expect(codeOf(() => decodeAll(long, 99))).toContain('cannot be 16777215 bytes');
    // A block of ten bytes that says it unpacks to 4 GiB is refused before it is unpacked.
    const bomb = Buffer.concat([
      IDENTIFIER,
      Buffer.from([0x00, 9, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    ]);
    expect(codeOf(() => decodeAll(bomb, 99))).toContain('cannot hold 4294967295');
    expect(codeOf(() => new SnappyFramedDecoder(499).push(whole))).toContain('past 499 bytes');
  });

  it('packs what can be packed also behind what cannot, and gives all of it back', () => {
    const CHUNK = 64 * 1024;
    const dense = (seed: number) => {
      const bytes = Buffer.alloc(CHUNK);
      for (let at = 0, state = seed; at < CHUNK; at += 4) {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        bytes.writeUInt32LE(state, at);
      }
      return bytes;
    };
    const light = Buffer.alloc(CHUNK, 'abc');
    const whole = Buffer.concat([dense(1), dense(2), light, light, dense(3), light]);
    const packed = snappy.compress(whole);
    expect(packed).toBeInstanceOf(Buffer);
    if (packed instanceof Promise) return;
    // Three chunks as they are, and next to nothing for the others.
    expect(packed.length).toBeGreaterThan(3 * CHUNK);
    expect(packed.length).toBeLessThan(3.3 * CHUNK);
    expect(decodeAll(packed, packed.length).equals(whole)).toBe(true);
    expect(Buffer.concat(snappy.compressToPieces?.(whole) ?? []).equals(packed)).toBe(true);
  });
});
