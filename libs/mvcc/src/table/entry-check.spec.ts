import { describe, expect, it } from 'vitest';
import { bytes } from '../testing/commands.js';
import { crc32c } from './crc32c.js';
import { entryCheck, isOfTerm, markOf } from './entry-check.js';

const TWO_32 = 2 ** 32;
const numbers = (...values: number[]) => {
  const all = Buffer.alloc(values.length * 4);
  values.forEach((value, at) => all.writeUInt32LE(value, at * 4));
  return all;
};

describe('the check of an entry', () => {
  it('is its term above the CRC-32C of its marks, as docs/replication.md says', () => {
    // The check value of CRC-32C that RFC 3720 and others give.
    const mark = markOf(5, bytes('123456789'));
    expect(mark).toEqual({ term: 5, bytes: 9, checksum: 0xe3069283 });
    const covered = numbers(4, 0, 0, 5, 9, 0xe3069283);
    expect(entryCheck([markOf(4, bytes('')), mark])).toBe((5n << 32n) | BigInt(crc32c(covered)));
  });

  it('is another one if any of the entries has another term or command, or is missing', () => {
    const marks = [markOf(1, bytes('a')), markOf(1, bytes('')), markOf(2, bytes(''))];
    const check = entryCheck(marks);
    for (const [at, { term }] of marks.entries()) {
      const others = [[markOf(term, bytes('b'))], [markOf(term + 1, bytes(''))], []];
      for (const other of others) {
        expect(entryCheck(marks.toSpliced(at, 1, ...other))).not.toBe(check);
      }
    }
  });

  it('has the low half of a term that is longer, and compares terms by that', () => {
    const check = entryCheck([markOf(TWO_32 * 3 + 7, bytes('a'))]);
    expect(check >> 32n).toBe(7n);
    expect(isOfTerm(check, 7)).toBe(true);
    expect(isOfTerm(check, TWO_32 + 7)).toBe(true);
    expect(isOfTerm(check, 8)).toBe(false);
  });
});
