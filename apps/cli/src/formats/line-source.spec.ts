import { describe, expect, it } from 'vitest';
import type { ImportItem } from './item.js';
import { lineItems, type LineFormat } from './line-source.js';
import { LINE_BYTES_MAX } from './lines.js';

async function* chunks(...parts: readonly (string | Buffer)[]): AsyncIterable<Buffer> {
  for (const part of parts) yield Buffer.from(part);
}

async function items(format: LineFormat, ...parts: readonly (string | Buffer)[]) {
  const all: ImportItem[] = [];
  for await (const some of lineItems(chunks(...parts), format, 'in', () => undefined)) {
    all.push(...some);
  }
  return all.map((item) =>
    item.kind === 'row'
      ? `${item.where} ${item.key.toString()}=${item.value.toString()}`
      : `${item.where} bad: ${item.reason}`,
  );
}

describe('rows from lines', () => {
  it('line breaks of any kind end a row, empty lines are passed over, the last needs none', async () => {
    expect(await items('tsv', 'a\t1\r\n\n', 'b\t', '2\nc\t3')).toEqual([
      'in:1 a=1',
      'in:3 b=2',
      'in:4 c=3',
    ]);
  });

  it('what is wrong with a JSON line is named with its number', async () => {
    const lines = [
      '[]',
      '{"key":1,"value":"x"}',
      '{"key":"a","key_base64":"YQ==","value":""}',
      '{"key":"a","value_base64":"YQ"}',
      '{"key":"a","value":"","lease":1}',
    ];
    expect(await items('jsonl', lines.join('\n'))).toEqual([
      'in:1 bad: expected an object with key and value',
      'in:2 bad: key is not a string',
      'in:3 bad: key and key_base64 are both set',
      'in:4 bad: value_base64 is not base64',
      'in:5 bad: unknown field "lease"',
    ]);
  });

  it('bytes that are no text are refused in a JSON line, not replaced', async () => {
    const line = Buffer.concat([
      Buffer.from('{"key":"a","value":"'),
      Buffer.from([0xff, 0x22, 0x7d]),
    ]);
    expect(await items('jsonl', line)).toEqual(['in:1 bad: not UTF-8']);
  });

  it('an escape that does not exist is refused in a tab-separated line', async () => {
    expect(await items('tsv', 'a\\x\t1\nonly\na\tb\tc')).toEqual([
      'in:1 bad: a backslash has to be followed by t, n, r or \\',
      'in:2 bad: expected a key, a tab and a value',
      'in:3 bad: a tab inside a value has to be written \\t',
    ]);
  });

  it('a line without an end is dropped as it arrives, and the next one is read', async () => {
    const long = Buffer.alloc(LINE_BYTES_MAX / 2 + 1, 'x');
    expect(await items('tsv', long, long, '\na\t1\n')).toEqual([
      `in:1 bad: the line has over ${LINE_BYTES_MAX} bytes`,
      'in:2 a=1',
    ]);
  });
});
