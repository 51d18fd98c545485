/**
 * The small parts that every transport shares: frames, ping policy, headers, methods, metadata.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkMetadataPair } from '../metadata.js';
import { status, statusLabel, toStatusCode } from '../status.js';
import { encodeFrame, frameBytes, FrameDecoder, frameOfPieces, wholeFrame } from './frames.js';
import { MethodTable } from './method-table.js';
import { PingPolicy } from './ping-policy.js';
import { encodeStatusMessage, parseDeadline, toWellFormed } from './request-headers.js';

describe('frames', () => {
  it('come out as they went in, however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.uint8Array({ maxLength: 300 }), fc.boolean()), { maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }),
        (messages, cuts) => {
          const sent = messages.map(([bytes, packed]) => wholeFrame(encodeFrame(bytes, packed)));
          const stream = Buffer.concat(sent);
          const decoder = new FrameDecoder(300, () => expect.unreachable());
          const got: Buffer[] = [];
          for (let at = 0, turn = 0; at < stream.length; turn += 1) {
            const end = at + (cuts[turn % cuts.length] ?? 1);
            got.push(...decoder.write(stream.subarray(at, end)));
            at = end;
          }
          expect(got.map((frame) => frame.toString('hex'))).toEqual(
            sent.map((frame) => frame.toString('hex')),
          );
        },
      ),
    );
  });

  it('over the limit are reported once, by their header alone', () => {
    const sizes: number[] = [];
    const decoder = new FrameDecoder(10, (bytes) => sizes.push(bytes));
    expect(decoder.write(wholeFrame(encodeFrame(Buffer.alloc(10), false)))).toHaveLength(1);
    expect(decoder.write(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]))).toEqual([]);
    expect(decoder.write(wholeFrame(encodeFrame(Buffer.alloc(1), false)))).toEqual([]);
    expect(sizes).toEqual([0xffffffff]);
  });

  it('of large messages come out as they went in, whatever becomes of the chunks then', () => {
    const size = fc.oneof(fc.nat(100), fc.integer({ min: 8_000, max: 300_000 }));
    const cut = fc.oneof(fc.integer({ min: 1, max: 3_000 }), fc.integer({ min: 1, max: 65_536 }));
    fc.assert(
      fc.property(
        fc.array(size, { maxLength: 4 }),
        fc.array(cut, { minLength: 1, maxLength: 4 }),
        (sizes, cuts) => {
          const sent = sizes.map((bytes, nth) =>
            encodeFrame(Buffer.alloc(bytes, `${nth}abcdefgh`), nth % 2 === 0),
          );
          const stream = Buffer.concat(sent.map(wholeFrame));
          expect(stream.length).toBe(sent.reduce((sum, frame) => sum + frameBytes(frame), 0));
          const decoder = new FrameDecoder(300_000, () => expect.unreachable());
          const got: Buffer[] = [];
          for (let at = 0, turn = 0; at < stream.length; turn += 1) {
            const end = at + (cuts[turn % cuts.length] ?? 1);
            got.push(
              ...decoder
                .write(Buffer.from(stream.subarray(at, end)))
                .map((frame) => Buffer.from(frame)),
            );
            at = end;
          }
          expect(Buffer.concat(got).equals(stream)).toBe(true);
          expect(got).toHaveLength(sizes.length);
          expect(decoder.isMidway).toBe(false);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('of messages in pieces are those of the whole', () => {
    const pieces = [Buffer.from('one'), Buffer.alloc(20_000, 'x'), Buffer.from('two')];
    const whole = wholeFrame(encodeFrame(Buffer.concat(pieces), true));
    expect(wholeFrame(frameOfPieces(pieces)).equals(whole)).toBe(true);
    expect(frameBytes(frameOfPieces(pieces))).toBe(whole.length);
  });
});

describe('the ping policy', () => {
  it('allows two early pings in a row and closes at the third', () => {
    const policy = new PingPolicy(30_000);
    expect([0, 1, 2, 3].map((ms) => policy.onPing(ms))).toEqual([false, false, false, true]);
  });

  it('never minds a client that keeps its time, or that was just sent something', () => {
    const policy = new PingPolicy(30_000);
    for (let ms = 0; ms < 3_000_000; ms += 30_000) {
      expect(policy.onPing(ms)).toBe(false);
    }
    for (let ms = 3_000_000; ms < 3_000_100; ms += 1) {
      policy.onSent();
      expect(policy.onPing(ms)).toBe(false);
    }
  });
});

describe('request headers', () => {
  it('give a deadline for every unit, and none that the protocol does not know', () => {
    const units = ['1H', '2M', '3S', '4m', '5u', '6n'].map((text) => parseDeadline(text, 0));
    expect(units).toEqual([3_600_000, 120_000, 3000, 4, 1, 1]);
    expect(parseDeadline(undefined, 5)).toBeUndefined();
    for (const wrong of ['', '1', 'S', '-1S', '1.5S', '123456789S', '1 S', '1Sx']) {
      expect(parseDeadline(wrong, 0)).toBe('malformed');
    }
  });

  it('carry any status message and give it back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const encoded = encodeStatusMessage(text);
        expect(encoded).toMatch(/^[\x20-\x7e]*$/);
        expect(decodeURIComponent(encoded)).toBe(toWellFormed(text));
      }),
    );
    expect(toWellFormed('a\ud800b')).toBe('a\ufffdb');
  });
});

describe('the method table', () => {
  it('refuses paths that are malformed or taken, and guards for things that cannot be', () => {
    const table = new MethodTable();
    const handler = (request: Buffer): Buffer => request;
    for (const path of ['', 'a.B/C', '/B', '/a.B/', '/a..B/C', '/a.B/C/D', '/a.B/C d']) {
      expect(() => table.register(path, 'unary', handler)).toThrow('is not a path');
    }
    table.register('/a.B/C', 'unary', handler);
    expect(() => table.register('/a.B/C', 'unary', handler)).toThrow('has a handler already');
    expect(() => table.authorize('/a.B', () => undefined)).toThrow('neither a service');
    expect(table.list()).toEqual([{ path: '/a.B/C', service: 'a.B', method: 'C', kind: 'unary' }]);
  });

  it('guards methods registered before and after the guard, and only those', () => {
    const table = new MethodTable();
    const handler = (request: Buffer): Buffer => request;
    const [first, second] = [() => undefined, () => undefined];
    table.register('/a.B/Before', 'unary', handler);
    table.authorize('a.B', first);
    table.authorize('/a.B/After', second);
    table.register('/a.B/After', 'unary', handler);
    table.register('/a.C/Other', 'unary', handler);
    expect(table.find('/a.B/Before')?.guards).toEqual([first]);
    expect(table.find('/a.B/After')?.guards).toEqual([first, second]);
    expect(table.find('/a.C/Other')?.guards).toEqual([]);
    expect(table.unknown('x').message).toBe('malformed method name: "x"');
  });
});

describe('metadata and status', () => {
  it('lets through what HTTP/2 can carry and nothing else', () => {
    expect(checkMetadataPair('X-Name', 'text')).toBe('x-name');
    expect(checkMetadataPair('x-bin', Buffer.from([1]))).toBe('x-bin');
    const wrong: [string, string | Buffer][] = [
      ['', 'a'],
      ['x y', 'a'],
      [':path', 'a'],
      ['grpc-status', '0'],
      ['x-bin', 'text'],
      ['x', Buffer.from([1])],
      ['x', 'a\r\nb: c'],
      ['x', 'ü'],
    ];
    for (const [name, value] of wrong) {
      expect(() => checkMetadataPair(name, value)).toThrow('metadata');
    }
  });

  it('names codes as dashboards know them and takes what it does not know for Unknown', () => {
    expect(statusLabel(status.CANCELLED)).toBe('Canceled');
    expect(statusLabel(status.UNAUTHENTICATED)).toBe('Unauthenticated');
    expect([toStatusCode(5), toStatusCode(17), toStatusCode(-1), toStatusCode(1.5)]).toEqual([
      5, 2, 2, 2,
    ]);
  });
});
