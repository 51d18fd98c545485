import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyRange, prefixEnd } from './bytes.js';
import { parseDuration } from './settings.js';
import { UsageError } from './usage-error.js';

describe('keys of a command', () => {
  it('a prefix range holds exactly the keys that begin with it', () => {
    const key = fc.uint8Array({ minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(key, key, (prefixBytes, otherBytes) => {
        const prefix = Buffer.from(prefixBytes);
        const other = Buffer.from(otherBytes);
        const end = prefixEnd(prefix);
        const toLast = end.length === 1 && end[0] === 0;
        const inRange =
          Buffer.compare(other, prefix) >= 0 && (toLast || Buffer.compare(other, end) < 0);
        expect(inRange).toBe(other.subarray(0, prefix.length).equals(prefix));
      }),
    );
  });

  it('an empty key with a range flag means all keys, and is refused without', () => {
    const all = { key: Buffer.from([0]), rangeEnd: Buffer.from([0]) };
    expect(keyRange('', undefined, { prefix: true })).toEqual(all);
    expect(keyRange('', undefined, { fromKey: true })).toEqual(all);
    expect(() => keyRange('', undefined, {})).toThrow(UsageError);
  });

  it('flags that contradict each other are refused', () => {
    expect(() => keyRange('a', undefined, { prefix: true, fromKey: true })).toThrow('--prefix');
    expect(() => keyRange('a', 'b', { prefix: true })).toThrow('second key');
  });

  it('durations are read as Go writes them, and nothing else is', () => {
    expect(parseDuration('1m30s')).toBe(90_000);
    expect(parseDuration('250ms')).toBe(250);
    expect(parseDuration('1.5s')).toBe(1_500);
    for (const text of ['', '5', 's', '5 s', '-1s', '5x']) {
      expect(() => parseDuration(text)).toThrow(UsageError);
    }
  });
});
