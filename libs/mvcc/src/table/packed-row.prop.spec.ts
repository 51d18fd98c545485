/**
 * Packed rows against the encoder of answers: however a row is packed, its bytes are those that an answer
 * of this row alone has.
 */
import fc from 'fast-check';
import { hot } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import {
  packedBytesMax,
  packedKeyBytes,
  packedKeyLength,
  packedKeyStart,
  packedVersionBytes,
  packKey,
  packStored,
  packVersion,
  storedKey,
} from './packed-row.js';
import { damagedRows, storedData, storedVersion } from '../testing/stored-versions.js';
import { encodeVersion, Version } from './row-codec.js';

const NO_HEADER = new Uint8Array(0);
function answerOf(row: Version): string {
  const answer = hot.encodeRangeResponse(NO_HEADER, { kvs: [row], more: false, count: 0 });
  return answer.toString('latin1');
}

describe('a packed row', () => {
  it('is that of an answer, made of what is stored or of a version, and no larger than foretold', () => {
    fc.assert(
      fc.property(storedVersion, fc.nat(20), (row, start) => {
        const stored = encodeVersion(row);
        const out = Buffer.alloc(start + packedBytesMax(stored.length));
        const end = packStored(out, start, stored);
        expect(end).toBeLessThanOrEqual(out.length);
        expect(out.toString('latin1', start, end)).toBe(answerOf(row));
        const other = Buffer.alloc(packedVersionBytes(row));
        expect(packVersion(other, 0, row)).toBe(other.length);
        expect(other.toString('latin1')).toBe(answerOf(row));
        const keyStart = packedKeyStart(out, start);
        const key = out.subarray(keyStart, keyStart + packedKeyLength(out, start));
        expect(key.equals(row.key)).toBe(true);
        expect(storedKey(stored).equals(row.key)).toBe(true);
      }),
    );
  });

  it('of a key alone is that of an answer', () => {
    fc.assert(
      fc.property(storedData, (key) => {
        const out = Buffer.alloc(packedKeyBytes(key.length));
        expect(packKey(out, 0, key, 0, key.length)).toBe(out.length);
        expect(out.toString('latin1')).toBe(answerOf(Version.ofKey(key)));
      }),
    );
  });

  it('is never made of a row that is cut, has another format or a number that is too large', () => {
    fc.assert(
      fc.property(storedVersion, fc.nat(), (row, cut) => {
        const out = Buffer.alloc(packedBytesMax(encodeVersion(row).length) + 8);
        const corrupt: unknown = expect.objectContaining({ code: 'TABLE_ROW_CORRUPT' });
        for (const bad of damagedRows(row, cut))
          expect(() => packStored(out, 0, bad)).toThrow(corrupt);
      }),
    );
  });
});
