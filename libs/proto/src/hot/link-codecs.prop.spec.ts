import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytes, count } from '../../test/messages.js';
import { hot, linkV1 } from '../index.js';

const check = fc.bigInt(0n, 2n ** 64n - 1n);

const fields = fc.record({
  subscription: count,
  entries: fc.array(fc.record({ index: count, command: bytes }), { maxLength: 6 }),
  leaderRevision: count,
  leaderClockMs: count,
  lastCheck: fc.option(check, { nil: undefined }),
});

const snapshotChunk = fc.record({
  position: fc.option(
    fc.record({
      tableId: count,
      epoch: count,
      appliedIndex: count,
      revision: count,
      appliedCheck: fc.option(check, { nil: undefined }),
    }),
    { nil: undefined },
  ),
  rows: fc.array(
    fc.record({
      key: bytes,
      value: bytes,
      createRevision: count,
      modRevision: count,
      version: count,
    }),
    { maxLength: 6 },
  ),
  deletedKeys: fc.array(bytes, { maxLength: 6 }),
  checksum: fc.oneof(fc.constant(0), fc.nat(2 ** 32 - 1)),
  more: fc.boolean(),
  tableDigest: fc.option(bytes, { nil: undefined }),
});

describe('the hot codecs of the link', () => {
  it('make and read entries as the generated ones do', () => {
    fc.assert(
      fc.property(fields, (given) => {
        const encoded = hot.encodeLinkEntries(given);
        const value = {
          subscription: BigInt(given.subscription),
          entries: given.entries.map(({ index, command }) => ({ index: BigInt(index), command })),
          leaderRevision: BigInt(given.leaderRevision),
          leaderClockMs: BigInt(given.leaderClockMs),
          lastCheck: given.lastCheck,
        };
        const message = { kind: { $case: 'entries', value } } as const;
        const generated = Buffer.from(linkV1.AttachMessage.encode(message).finish());
        expect(encoded.toString('hex')).toBe(generated.toString('hex'));
        expect(hot.decodeLinkEntries(generated)).toEqual(given);
      }),
      { numRuns: 100 },
    );
  });

  it('make and read a SnapshotChunk as the generated ones do', () => {
    const big = (row: Record<string, Buffer | number | bigint | undefined>) =>
      Object.fromEntries(
        Object.entries(row).map(([name, each]) => [
          name,
          typeof each === 'number' ? BigInt(each) : each,
        ]),
      ) as Record<keyof typeof row, never>;
    fc.assert(
      fc.property(snapshotChunk, (given) => {
        const encoded = hot.encodeLinkSnapshotChunk(given);
        const message = {
          ...given,
          position: given.position && (big(given.position) as never),
          rows: given.rows.map((each) => big(each) as never),
        };
        const generated = Buffer.from(linkV1.SnapshotChunk.encode(message).finish());
        expect(encoded.toString('hex')).toBe(generated.toString('hex'));
        expect(hot.decodeLinkSnapshotChunk(generated)).toEqual(given);
      }),
      { numRuns: 100 },
    );
    const cut = hot.encodeLinkSnapshotChunk({
      position: undefined,
      rows: [],
      deletedKeys: [],
      checksum: 7,
      more: false,
    });
    expect(() => hot.decodeLinkSnapshotChunk(cut.subarray(0, 3))).toThrow();
  });

  it('leave every other kind of message to the generated ones', () => {
    const value = { leaderClockMs: 7n, revisions: [] };
    const message = Buffer.from(
      linkV1.AttachMessage.encode({ kind: { $case: 'heartbeat', value } }).finish(),
    );
    expect(hot.decodeLinkEntries(message)).toBeUndefined();
    expect(hot.decodeLinkEntries(Buffer.alloc(0))).toBeUndefined();
    const entries = hot.encodeLinkEntries({
      subscription: 1,
      entries: [],
      leaderRevision: 2,
      leaderClockMs: 3,
    });
    expect(hot.decodeLinkEntries(Buffer.concat([entries, message]))).toBeUndefined();
  });
});
