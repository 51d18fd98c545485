import { describe, expect, it } from 'vitest';
import { Version } from '../table/row-codec.js';
import { ABSENT, VersionCache } from './version-cache.js';

const KIB = 1024;

function row(key: string, value: string, revision = 1): Version {
  return new Version(Buffer.from(key), Buffer.from(value), 1, revision, 1, 0, 1);
}

const keyAt = (at: number): Buffer => Buffer.from(`key/${at}`);

function valueOf(found: Version | typeof ABSENT | undefined): string | undefined {
  return found === undefined || found === ABSENT ? undefined : found.value.toString();
}

describe('the cache of versions', () => {
  it('gives back what was last said of a key, and knows what it was not told', () => {
    const table = new VersionCache({ bytesMax: 64 * KIB }).table();
    const key = Buffer.from('k');
    expect(table.get(key)).toBeUndefined();
    table.set(key, new Version(key, Buffer.from('one'), 3, 2 ** 40, 5, 6, 7));
    expect(table.get(key)).toEqual(new Version(key, Buffer.from('one'), 3, 2 ** 40, 5, 6, 7));
    table.set(key, row('k', 'two'));
    expect(valueOf(table.get(key))).toBe('two');
    table.set(key, undefined);
    expect(table.get(key)).toBe(ABSENT);
    table.drop(key);
    expect(table.get(key)).toBeUndefined();
  });

  it('keeps tables apart, and forgets one of them alone', () => {
    const cache = new VersionCache({ bytesMax: 64 * KIB });
    const [one, other] = [cache.table(), cache.table()];
    one.set(keyAt(1), row('', 'one'));
    other.set(keyAt(1), row('', 'other'));
    expect(valueOf(one.get(keyAt(1)))).toBe('one');
    one.clear();
    expect(one.get(keyAt(1))).toBeUndefined();
    expect(valueOf(other.get(keyAt(1)))).toBe('other');
  });

  it('never holds more bytes than its bound, however much is put into it', () => {
    for (const bytesMax of [2 * KIB, 10_000, 300 * KIB]) {
      const cache = new VersionCache({ bytesMax });
      const table = cache.table();
      for (let at = 0; at < 5_000; at++) {
        table.set(keyAt(at % 1_700), row('', 'v'.repeat(at % 200)));
        if (at % 3 === 0) table.get(keyAt((at * 7) % 1_700));
        expect(cache.stats().bytes).toBeLessThanOrEqual(bytesMax);
      }
      expect(cache.stats().entries).toBeGreaterThan(0);
    }
  });

  it('a key that is asked for again and again outlives a stream of keys that are not', () => {
    const table = new VersionCache({ bytesMax: 64 * KIB }).table();
    const hot = Buffer.from('hot');
    table.set(hot, row('', 'stays'));
    for (let at = 0; at < 20_000; at++) {
      table.set(keyAt(at), row('', 'passes by'));
      if (at % 50 === 0) expect(valueOf(table.get(hot))).toBe('stays');
    }
    expect(table.get(keyAt(1))).toBeUndefined();
  });

  it('a value that was handed out stays what it is when its place is needed for others', () => {
    const table = new VersionCache({ bytesMax: 2 * KIB }).table();
    table.set(keyAt(0), row('', 'held'));
    const held = table.get(keyAt(0));
    for (let at = 1; at < 500; at++) {
      table.set(keyAt(at), row('', 'others'));
      table.get(keyAt(at));
    }
    expect(table.get(keyAt(0))).toBeUndefined();
    expect(valueOf(held)).toBe('held');
  });

  it('keeps nothing that is larger than a part of it, nor what that took the place of', () => {
    const table = new VersionCache({ bytesMax: 2 * KIB }).table();
    table.set(keyAt(0), row('', 'small'));
    table.set(keyAt(0), row('', 'x'.repeat(1_000)));
    expect(table.get(keyAt(0))).toBeUndefined();
  });

  it('what a table left behind does not stay, though it was asked for', () => {
    const cache = new VersionCache({ bytesMax: 8 * KIB });
    const [gone, other] = [cache.table(), cache.table()];
    for (let at = 0; at < 20; at++) {
      gone.set(keyAt(at), row('', 'of a table that is gone'));
      for (let uses = 0; uses < 3; uses++) gone.get(keyAt(at));
    }
    gone.close();
    for (let at = 0; at < 1_000; at++) {
      other.set(keyAt(at), row('', 'x'));
      other.get(keyAt(at));
    }
    let found = 0;
    for (let at = 0; at < 1_000; at++) if (other.get(keyAt(at)) !== undefined) found++;
    expect(cache.stats().entries).toBe(found);
  });

  it('keys that all meet in one place cost hits, never an answer', () => {
    // One chain takes 16 entries: of more keys than the index has chains for, some have to go.
    const cache = new VersionCache({ bytesMax: 4 * KIB });
    const table = cache.table();
    for (let round = 0; round < 3; round++) {
      for (let at = 0; at < 400; at++) {
        const found = table.get(keyAt(at));
        if (found !== undefined) expect(valueOf(found)).toBe(`${at}`);
        table.set(keyAt(at), row('', `${at}`));
      }
    }
    expect(cache.stats().evictions).toBeGreaterThan(0);
  });
});
