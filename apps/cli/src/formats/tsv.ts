/**
 * Tab-separated lines: key, tab, value. Tab, line feed, return and backslash are written \t \n \r
 * and \\; every other byte stands for itself.
 */
import type { Pair } from './jsonl.js';

const TAB = 0x09;
const BACKSLASH = 0x5c;
const ESCAPED = new Map<number, number>([
  [0x74, TAB],
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [BACKSLASH, BACKSLASH],
]);
const ESCAPE = new Map([...ESCAPED].map(([letter, byte]) => [byte, letter]));

/** Throws an Error that says what is wrong with the line. */
export function parseTsvLine(line: Buffer): Pair {
  const tab = line.indexOf(TAB);
  if (tab < 0) throw new Error('expected a key, a tab and a value');
  if (line.indexOf(TAB, tab + 1) >= 0)
    throw new Error('a tab inside a value has to be written \\t');
  return { key: unescape(line.subarray(0, tab)), value: unescape(line.subarray(tab + 1)) };
}

function unescape(bytes: Buffer): Buffer {
  if (bytes.indexOf(BACKSLASH) < 0) return bytes;
  const out = Buffer.alloc(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    let byte = bytes.readUInt8(at);
    if (byte === BACKSLASH) {
      const letter = bytes[++at];
      const meant = letter === undefined ? undefined : ESCAPED.get(letter);
      if (meant === undefined) throw new Error('a backslash has to be followed by t, n, r or \\');
      byte = meant;
    }
    out.writeUInt8(byte, length++);
  }
  return out.subarray(0, length);
}

export function formatTsvLine({ key, value }: Pair): Buffer {
  return Buffer.concat([escape(key), Buffer.from([TAB]), escape(value), Buffer.from('\n')]);
}

function escape(bytes: Buffer): Buffer {
  const out = Buffer.alloc(bytes.length * 2);
  let length = 0;
  for (const byte of bytes) {
    const letter = ESCAPE.get(byte);
    if (letter !== undefined) out.writeUInt8(BACKSLASH, length++);
    out.writeUInt8(letter ?? byte, length++);
  }
  return out.subarray(0, length);
}
