import { describe, expect, it } from 'vitest';
import { parseTxn } from './txn-grammar.js';

describe('the text of a transaction', () => {
  it('three parts become compares and the operations of both branches', () => {
    const text = [
      'value("a b") = "x\\ny"',
      'value("n") != "\\xff"',
      'exists("k")',
      '',
      'put "a b" "new \\"value\\""',
      'get conf/ --prefix',
      '',
      'del a z',
    ];
    const { compare, success, failure } = parseTxn(text.join('\n'));
    expect(compare.map(({ key, result }) => [key.toString(), result])).toEqual([
      ['a b', 0],
      ['n', 3],
      ['k', 0],
    ]);
    expect(compare.map(({ targetUnion }) => targetUnion?.value)).toEqual([
      Buffer.from('x\ny'),
      Buffer.from([0xff]),
      undefined,
    ]);
    expect(success.map(({ request }) => request?.$case)).toEqual(['requestPut', 'requestRange']);
    expect(success[0]?.request?.value).toMatchObject({ value: Buffer.from('new "value"') });
    expect(success[1]?.request?.value).toMatchObject({ rangeEnd: Buffer.from('conf0') });
    expect(failure[0]?.request?.value).toMatchObject({
      key: Buffer.from('a'),
      rangeEnd: Buffer.from('z'),
    });
  });

  it('no compares and no operations are fine: parts may be empty', () => {
    expect(parseTxn('')).toEqual({ compare: [], success: [], failure: [] });
    expect(parseTxn('\nput a 1\n').success).toHaveLength(1);
  });

  it.each([
    ['mod("a") = "1"', 'line 1: regatta.v1 compares values only, not mod'],
    ['value("a")', 'line 1: not a compare'],
    ['value(a) = "1"', 'line 1: not a compare'],
    ['\nput a', 'line 2: not a put'],
    ['\nincrement a 1', 'line 2: unknown operation increment'],
    ['\nget a --rev', 'line 2: unknown flag --rev'],
    ['\n\n\nput a 1', 'line 4: nothing may follow the third part'],
    ['value("a\\q") = "1"', 'line 1: unknown escape \\q'],
  ])('%j is refused with its line', (text, message) => {
    expect(() => parseTxn(text)).toThrow(message);
  });
});
