/** HPACK against itself, and the cutting of frames, for whatever comes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Http2Error } from './constants.js';
import { FrameParser } from './frame-parser.js';
import { HpackDecoder } from './hpack-decoder.js';
import { HpackEncoder, type Indexing } from './hpack-encoder.js';

const latin1 = fc
  .uint8Array({ maxLength: 300 })
  .map((bytes) => Buffer.from(bytes).toString('latin1'));
const name = fc.oneof(fc.constantFrom(':path', 'te', 'x', 'grpc-status', 'x-y'), latin1);
const field = fc.tuple(name, fc.oneof(fc.constantFrom('', 'a', 'b'), latin1));
const step = fc.record({
  fields: fc.array(field, { maxLength: 12 }),
  indexing: fc.constantFrom<Indexing>('keep', 'pass', 'never'),
  sizes: fc.array(fc.nat(5000), { maxLength: 3 }),
});

describe('HPACK', () => {
  it('gives the fields of every block back, whatever became of the table in between', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const encoder = new HpackEncoder();
        const decoder = new HpackDecoder();
        for (const { fields, indexing, sizes } of steps) {
          for (const size of sizes) encoder.allow(size);
          encoder.begin();
          for (const [each, value] of fields) encoder.field(each, value, indexing);
          const block = encoder.end();
          const decoded: [string, string][] = [];
          decoder.decode(block, 0, block.length, { field: (...pair) => decoded.push(pair) });
          expect(decoded).toEqual(fields);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('refuses damaged blocks with an error of HTTP/2 and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const decoder = new HpackDecoder();
        try {
          decoder.decode(Buffer.from(bytes), 0, bytes.length, { field: () => undefined });
        } catch (error) {
          expect(error).toBeInstanceOf(Http2Error);
        }
        expect(decoder.tableBytes).toBeLessThanOrEqual(4096);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('frames', () => {
  it('are the same however the bytes are cut', () => {
    const frame = fc.record({
      type: fc.nat(255),
      id: fc.nat(),
      payload: fc.uint8Array({ maxLength: 99 }),
    });
    fc.assert(
      fc.property(fc.array(frame), fc.array(fc.nat(40), { minLength: 1 }), (frames, cuts) => {
        const bytes = Buffer.concat(
          frames.map(({ type, id, payload }) => {
            const head = Buffer.from([0, 0, payload.length, type, 7, 0, 0, 0, 0]);
            head.writeUInt32BE(id, 5);
            return Buffer.concat([head, payload]);
          }),
        );
        const seen: object[] = [];
        const parser = new FrameParser(100, {
          frame: (type, _flags, id, source, from, to) =>
            seen.push({ type, id, payload: new Uint8Array(source.subarray(from, to)) }),
        });
        for (let at = 0, piece = 0; at < bytes.length; piece++) {
          const length = 1 + (cuts[piece % cuts.length] ?? 0);
          parser.push(Buffer.from(bytes.subarray(at, at + length)));
          at += length;
        }
        expect(seen).toEqual(frames);
        expect(parser.isInFrame).toBe(false);
      }),
      { numRuns: 150 },
    );
  });

  it('longer than was announced are refused as soon as their head is there', () => {
    const parser = new FrameParser(100, { frame: () => expect.unreachable() });
    parser.push(Buffer.from([0, 0]));
    expect(() => parser.push(Buffer.from([101, 0, 0, 0, 0, 0, 1]))).toThrow(Http2Error);
  });
});
