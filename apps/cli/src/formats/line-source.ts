/** Rows from a stream of lines in one of the line formats. */
import type { ImportItem, ItemSource } from './item.js';
import { parseJsonLine, type Pair } from './jsonl.js';
import { LINE_BYTES_MAX, splitLines, type Line } from './lines.js';
import { parseTsvLine } from './tsv.js';

export const LINE_FORMATS = { jsonl: parseJsonLine, tsv: parseTsvLine } as const;
export type LineFormat = keyof typeof LINE_FORMATS;

/** Empty lines are passed over. `name` is what errors call the stream. */
export async function* lineItems(
  chunks: AsyncIterable<Buffer>,
  format: LineFormat,
  name: string,
  onBytes: (bytes: number) => void,
): ItemSource {
  const parse = LINE_FORMATS[format];
  for await (const lines of splitLines(chunks, onBytes)) {
    const items: ImportItem[] = [];
    for (const line of lines) {
      if (line.bytes?.length !== 0) items.push(toItem(line, parse, name));
    }
    yield items;
  }
}

function toItem(line: Line, parse: (bytes: Buffer) => Pair, name: string): ImportItem {
  const where = `${name}:${line.number}`;
  if (line.bytes === undefined) {
    return { kind: 'bad', where, reason: `the line has over ${LINE_BYTES_MAX} bytes` };
  }
  try {
    return { kind: 'row', where, ...parse(line.bytes) };
  } catch (error) {
    return { kind: 'bad', where, reason: error instanceof Error ? error.message : String(error) };
  }
}
