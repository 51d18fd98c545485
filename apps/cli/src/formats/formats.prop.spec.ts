import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ImportItem } from './item.js';
import { formatJsonLine, parseJsonLine } from './jsonl.js';
import { lineItems, type LineFormat } from './line-source.js';
import { formatTsvLine, parseTsvLine } from './tsv.js';

const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
const pairs = fc.array(fc.record({ key: bytes, value: bytes }), { maxLength: 20 });

/** A stream whose chunks end anywhere. */
async function* chunked(content: Buffer, sizes: readonly number[]): AsyncIterable<Buffer> {
  let at = 0;
  for (let turn = 0; at < content.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    yield content.subarray(at, at + size);
    at += size;
  }
}

async function collect(content: Buffer, format: LineFormat, sizes: readonly number[]) {
  const items: ImportItem[] = [];
  const source = lineItems(chunked(content, sizes), format, 'test', () => undefined);
  for await (const some of source) items.push(...some);
  return items;
}

describe('line formats', () => {
  it('a pair of any bytes comes back from a JSON line', () => {
    fc.assert(
      fc.property(bytes, bytes, (key, value) => {
        const line = Buffer.from(formatJsonLine({ key, value }).trimEnd());
        expect(parseJsonLine(line)).toEqual({ key, value });
      }),
    );
  });

  it('a pair of any bytes comes back from a tab-separated line', () => {
    fc.assert(
      fc.property(bytes, bytes, (key, value) => {
        const line = formatTsvLine({ key, value });
        expect(line.indexOf('\n')).toBe(line.length - 1);
        expect(parseTsvLine(line.subarray(0, -1))).toEqual({ key, value });
      }),
    );
  });

  it('rows come out whole and in order wherever the chunks of the stream end', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(pairs, sizes, async (rows, chunkSizes) => {
        const text = Buffer.from(rows.map(formatJsonLine).join(''));
        const items = await collect(text, 'jsonl', chunkSizes);
        const found = items.map((item) => item.kind === 'row' && [item.key, item.value]);
        expect(found).toEqual(rows.map(({ key, value }) => [key, value]));
      }),
    );
  });
});
