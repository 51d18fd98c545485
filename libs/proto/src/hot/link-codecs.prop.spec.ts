import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytes, count } from '../../test/messages.js';
import { hot, linkV1 } from '../index.js';

const fields = fc.record({
  subscription: count,
  entries: fc.array(fc.record({ index: count, command: bytes }), { maxLength: 6 }),
  leaderRevision: count,
  leaderClockMs: count,
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
        };
        const message = { kind: { $case: 'entries', value } } as const;
        const generated = Buffer.from(linkV1.AttachMessage.encode(message).finish());
        expect(encoded.toString('hex')).toBe(generated.toString('hex'));
        expect(hot.decodeLinkEntries(generated)).toEqual(given);
      }),
      { numRuns: 100 },
    );
  });

  it('leave every other kind of message to the generated ones', () => {
    const value = { leaderClockMs: 7n, revisions: [] };
    const message = Buffer.from(linkV1.AttachMessage.encode({ kind: { $case: 'heartbeat', value } }).finish());
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
