/**
 * Rows packed for the feed against the encoder of its chunks: a packed row has the bytes that a chunk of this
 * row alone has.
 */
import fc from 'fast-check';
import { hot } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { feedRowBytesMax, packFeedRow } from './feed-row.js';
import { damagedRows, storedVersion } from '../testing/stored-versions.js';
import { encodeVersion } from './row-codec.js';

describe('a row packed for the feed', () => {
  it('is that of a chunk, and no larger than foretold', () => {
    fc.assert(
      fc.property(storedVersion, fc.nat(20), (row, start) => {
        const stored = encodeVersion(row);
        const out = Buffer.alloc(start + feedRowBytesMax(stored.length));
        const end = packFeedRow(out, start, stored);
        expect(end).toBeLessThanOrEqual(out.length);
        const chunk = { position: undefined, rows: [row], more: false, deletedKeys: [] };
        expect(out.subarray(start, end).equals(hot.encodeTableChunk(chunk))).toBe(true);
      }),
    );
  });

  it('is never made of a row that is cut, has another format or a number that is too large', () => {
    fc.assert(
      fc.property(storedVersion, fc.nat(), (row, cut) => {
        const out = Buffer.alloc(feedRowBytesMax(encodeVersion(row).length) + 8);
        const corrupt: unknown = expect.objectContaining({ code: 'TABLE_ROW_CORRUPT' });
        for (const bad of damagedRows(row, cut))
          expect(() => packFeedRow(out, 0, bad)).toThrow(corrupt);
      }),
    );
  });
});
