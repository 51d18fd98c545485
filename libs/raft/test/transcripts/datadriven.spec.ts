import { describe, expect, it } from 'vitest';
import { parseFile, replay, type Directive } from './datadriven.js';

function only(text: string): Directive {
  const [directive, ...rest] = parseFile(text);
  if (directive === undefined || rest.length > 0) throw new Error('not one directive');
  return directive;
}

const argsOf = (line: string) => only(`${line}\n----\n`).args;

describe('the format of transcripts', () => {
  it('gives each directive its line, its input and its output up to the first blank line', () => {
    const text = [
      '# a comment',
      '',
      'first 1',
      'one',
      'two',
      '----',
      'out',
      '  indented',
      '',
      '# another',
      'second',
      '----',
      'ok',
    ].join('\n');
    expect(parseFile(text)).toEqual([
      {
        pos: 3,
        cmd: 'first',
        args: [{ key: '1', vals: [] }],
        input: 'one\ntwo',
        expected: 'out\n  indented\n',
      },
      { pos: 11, cmd: 'second', args: [], input: '', expected: 'ok\n' },
    ]);
  });

  it('takes comments only outside of a case', () => {
    const { input, expected } = only('cmd\n# input\n----\n# output\n');
    expect([input, expected]).toEqual(['# input', '# output\n']);
  });

  it('ends the output at a line of white space, and the input loses what is around it', () => {
    expect(parseFile('a\n\n in \n\n----\nx\n \t\nb\n----\n')).toMatchObject([
      { cmd: 'a', input: 'in', expected: 'x\n' },
      { cmd: 'b', input: '', expected: '' },
    ]);
  });

  it('lets the output between double separators hold blank lines and single separators', () => {
    const text = 'a\n----\n----\none\n\n----\ntwo\n----\n----\n\nb\n----\nok\n';
    expect(parseFile(text)).toMatchObject([
      { cmd: 'a', expected: 'one\n\n----\ntwo\n' },
      { cmd: 'b', pos: 11, expected: 'ok\n' },
    ]);
    expect(only('a\n----\n----\n----\n----\n').expected).toBe('');
    expect(only('a\n----\n----\n\n----\n----').expected).toBe('\n');
  });

  it('refuses a double separator that is not closed, or not followed by a blank line', () => {
    expect(() => parseFile('a\n----\n----\nout\n')).toThrow(/^line 3: .*not closed/);
    expect(() => parseFile('a\n----\n----\nout\n----\n----\nb\n')).toThrow(/^line 7: a blank line/);
  });

  it('takes everything as input where no separator follows', () => {
    expect(only('a\nb\n\nc')).toMatchObject({ cmd: 'a', input: 'b\n\nc', expected: '' });
  });

  it('continues a command whose line ends with a backslash', () => {
    const { cmd, args, input } = only('cmd a=1\\\n  b \\\n  c=(2, \\\n3)\ninput\n----\n');
    expect([cmd, input]).toEqual(['cmd', 'input']);
    expect(args).toEqual([
      { key: 'a', vals: ['1'] },
      { key: 'b', vals: [] },
      { key: 'c', vals: ['2', '3'] },
    ]);
  });

  it('reads files with carriage returns', () => {
    expect(only('a\r\n----\r\nout\r\n')).toMatchObject({ cmd: 'a', expected: 'out\n' });
  });

  it.each([
    ['a', 'cmd a', [{ key: 'a', vals: [] }]],
    ['one value', 'cmd a=b', [{ key: 'a', vals: ['b'] }]],
    [
      'an empty value',
      'cmd a= b',
      [
        { key: 'a', vals: [''] },
        { key: 'b', vals: [] },
      ],
    ],
    ['a value with a sign', 'cmd a=b=c', [{ key: 'a', vals: ['b=c'] }]],
    [
      'quotes and parentheses',
      'cmd "x(y" a=b(c',
      [
        { key: '"x(y"', vals: [] },
        { key: 'a', vals: ['b(c'] },
      ],
    ],
    ['a list', 'cmd a=(1, 2,3 ,_)', [{ key: 'a', vals: ['1', '2', '3', '_'] }]],
    [
      'an empty list',
      'cmd a=() b',
      [
        { key: 'a', vals: [] },
        { key: 'b', vals: [] },
      ],
    ],
    ['a list with gaps', 'cmd a=(,1)', [{ key: 'a', vals: ['', '1'] }]],
    [
      'nested lists',
      'cmd a=(x + (y, z), f()) b=c',
      [
        { key: 'a', vals: ['x + (y, z)', 'f()'] },
        { key: 'b', vals: ['c'] },
      ],
    ],
    [
      'much space',
      '  cmd \t a=(1)   b  ',
      [
        { key: 'a', vals: ['1'] },
        { key: 'b', vals: [] },
      ],
    ],
  ])('reads arguments: %s', (_name, line, expected) => {
    expect(argsOf(line)).toEqual(expected);
  });

  it.each([
    ['cmd a=(1,2', /line 1: a parenthesis is not closed/],
    ['cmd a=(1)b', /line 1: no space after a list/],
    ['cmd =1', /line 1: a value without a name/],
  ])('refuses %s', (line, message) => {
    expect(() => argsOf(line)).toThrow(message);
  });
});

describe('a replay', () => {
  const echo = ({ cmd, input }: Directive) => {
    if (cmd === 'fail') throw new Error('it failed');
    return input;
  };

  it('matches byte for byte, after adding a missing line break', () => {
    const text = 'a\nx\n----\nx\n\nb\n----\n\nc\nx\n----\nx \n\nd\nx\n----\n';
    const { matched, total, mismatches } = replay(text, echo);
    expect([matched, total]).toEqual([2, 4]);
    expect(mismatches).toEqual([
      { pos: 9, cmd: 'c', expected: 'x \n', actual: 'x\n' },
      { pos: 14, cmd: 'd', expected: '', actual: 'x\n' },
    ]);
  });

  it('counts an exception as a mismatch and goes on', () => {
    const { matched, mismatches } = replay('fail\n----\nok\n\na\nx\n----\nx\n', echo);
    expect(matched).toBe(1);
    expect(mismatches[0]?.actual).toContain('it failed');
  });

  it('never passes a text that is broken or empty', () => {
    for (const text of ['', '# only a comment\n', 'a\n----\n----\nopen']) {
      const { matched, total, mismatches } = replay(text, echo);
      expect([matched, total, mismatches.length]).toEqual([0, 1, 1]);
    }
  });
});
