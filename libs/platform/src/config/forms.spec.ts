import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hostPortOf, parseHostPort } from './address.js';
import { convert } from './convert.js';
import { formatDuration, parseDuration } from './duration.js';
import type { Setting, SettingKind } from './setting.js';

function setting(kind: SettingKind, more: Partial<Setting> = {}): Setting {
  return { key: 'x', kind, default: '', description: '', ...more };
}

describe('durations', () => {
  it.each([
    ['50ms', 50],
    ['1m30s', 90_000],
    ['1h', 3_600_000],
    ['1.5s', 1_500],
    ['.5s', 500],
    ['250us', 0.25],
    ['1µs', 0.001],
    ['0', 0],
    ['0s', 0],
  ])('%s is %d ms', (text, durationMs) => expect(parseDuration(text)).toBe(durationMs));

  it.each(['', '5', 's', '-5s', '5 s', '1m 30s', '5S', '1d', '5s!', '..5s', 'abc'])(
    '"%s" is no duration',
    (text) => expect(parseDuration(text)).toBeUndefined(),
  );

  it('what is formatted is read back as the same duration', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000_000_000 }), (durationMs) => {
        expect(parseDuration(formatDuration(durationMs))).toBe(durationMs);
      }),
    );
    expect([0, 0.25, 50, 5_000, 90_000, 3_600_000].map(formatDuration)).toEqual([
      ...['0s', '250µs', '50ms', '5s', '1m30s', '1h0m0s'],
    ]);
  });
});

describe('addresses', () => {
  it('host and port are split, an IPv6 host by its brackets', () => {
    expect(parseHostPort('127.0.0.1:5012')).toEqual({ host: '127.0.0.1', port: 5012 });
    expect(parseHostPort('[::1]:80')).toEqual({ host: '::1', port: 80 });
    expect(parseHostPort(':80')).toEqual({ host: '', port: 80 });
    for (const text of ['a', 'a:', 'a:b', 'a:65536', '::1:80', 'a b:1', 'http://a:1', 'a:1:2']) {
      expect(parseHostPort(text), text).toBeUndefined();
    }
    expect(() => hostPortOf('a')).toThrow('not host:port');
  });
});

describe('conversion', () => {
  const value = (of: Setting, raw: unknown): unknown => {
    const result = convert(of, raw);
    return result.kind === 'value' ? result.value : `refused: ${result.expected}`;
  };

  it('booleans are read as Go reads them', () => {
    const bool = setting('bool');
    expect(['true', 'T', '1', 'FALSE', 'f', '0', true].map((raw) => value(bool, raw))).toEqual([
      ...[true, true, true, false, false, false, true],
    ]);
    expect(value(bool, 'yes')).toBe('refused: true or false');
  });

  it('integers are whole, exact and of the right sign', () => {
    expect([7n, '7', 7, '-7'].map((raw) => value(setting('int'), raw))).toEqual([7, 7, 7, -7]);
    for (const raw of ['7.5', 7.5, '', '0x10', '1e3', true, 2n ** 53n, NaN]) {
      expect(value(setting('int'), raw), String(raw)).toBe('refused: an integer');
    }
    expect(value(setting('uint64'), '-1')).toMatch(/^refused: an unsigned integer/);
  });

  it('a bare number is no duration', () => {
    expect(value(setting('duration'), 50n)).toMatch(/^refused: a duration/);
  });

  it('maps are pairs, objects or JSON; a plain list is numbered only where that is allowed', () => {
    const map = setting('map');
    const numbered = setting('map', { numbered: true });
    const members = { 1: 'a:1', 2: 'b:2' };
    expect(value(numbered, 'a:1, b:2')).toEqual(members);
    expect(value(numbered, '1=a:1,2=b:2')).toEqual(members);
    expect(value(map, { 1: 'a:1', 2: 'b:2' })).toEqual(members);
    expect(value(map, '{"1":"a:1","2":"b:2"}')).toEqual(members);
    expect(value(map, '')).toEqual({});
    for (const raw of ['a:1', '1=a,1=b', '=a', '1=a,b', '{bad', [{ a: 1 }], 5n]) {
      expect(value(map, raw)).toMatch(/^refused: a map/);
    }
    expect(value(numbered, '1=a:1,b:2')).toMatch(/^refused/);
  });

  it('enums are matched without regard to case and keep the listed spelling', () => {
    expect(value(setting('enum', { values: ['INFO', 'tan'] }), 'info')).toBe('INFO');
  });
});
