import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TableDigest } from './table-digest.js';

const count = fc.nat(2 ** 40);
const bytes = fc.uint8Array({ maxLength: 12 }).map((data) => Buffer.from(data));
const row = fc.record({
  key: bytes,
  value: bytes,
  createRevision: count,
  modRevision: count,
  version: count,
});
type Row = typeof row extends fc.Arbitrary<infer R> ? R : never;

function digestOf(rows: readonly Row[]): string {
  const digest = TableDigest.empty();
  digest.add(rows);
  return digest.bytes().toString('hex');
}

describe('the digest of a table', () => {
  it('is the same however its rows came, also where it was kept and gone on from', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 });
    fc.assert(
      fc.property(fc.array(row), sizes, (rows, pieces) => {
        let digest = TableDigest.empty();
        let at = 0;
        for (let nth = 0; at < rows.length; nth++) {
          const size = pieces[nth % pieces.length] ?? 1;
          digest.add(rows.slice(at, at + size));
          at += size;
          digest = TableDigest.from(digest.bytes()) ?? TableDigest.empty();
        }
        expect(digest.bytes().toString('hex')).toBe(digestOf(rows));
      }),
    );
  });

  it('is another one if a row is missing, moved, or has another key, value, revision or version', () => {
    const change = fc.constantFrom('missing', 'moved', 'key', 'value', 'create', 'mod', 'version');
    const rows = fc.uniqueArray(row, {
      minLength: 2,
      maxLength: 6,
      selector: ({ key }) => key.toString('hex'),
    });
    fc.assert(
      fc.property(rows, fc.nat(), change, (before, at, what) => {
        const nth = at % before.length;
        const changed = { ...(before[nth] ?? before[0]) } as Row;
        const after = [...before];
        after.splice(nth, 1);
        const grown = (data: Buffer) => Buffer.concat([data, Buffer.from([1])]);
        if (what === 'moved') after.splice(nth === 0 ? after.length : 0, 0, changed);
        if (what === 'key') after.splice(nth, 0, { ...changed, key: grown(changed.key) });
        if (what === 'value') after.splice(nth, 0, { ...changed, value: grown(changed.value) });
        const { createRevision, modRevision, version } = changed;
        if (what === 'create')
          after.splice(nth, 0, { ...changed, createRevision: createRevision + 1 });
        if (what === 'mod') after.splice(nth, 0, { ...changed, modRevision: modRevision + 1 });
        if (what === 'version') after.splice(nth, 0, { ...changed, version: version + 1 });
        expect(digestOf(after)).not.toBe(digestOf(before));
      }),
    );
  });

  it('is what docs/replication.md describes', () => {
    const fields = { createRevision: 1, modRevision: 2, version: 3 };
    const digest = digestOf([{ key: Buffer.from('k'), value: Buffer.from('v'), ...fields }]);
    expect(digest).toBe('2191c83bf3a4e8b40100000000000000');
    expect(digestOf([])).toBe('0'.repeat(32));
    expect(TableDigest.from(Buffer.alloc(15))).toBeUndefined();
  });
});
