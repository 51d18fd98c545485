/**
 * Damage to the files of a Raft log that nobody has open: where its segments and frames are, and bytes
 * changed in place.
 *
 * Frames are found by their mark and their own account of where they are, nothing else is read.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';

const FRAME_MARK = Buffer.from('FRAM');
const OFFSET_AT = 32;
const SEGMENT_NAME = /^raft-\d+\.log$/;

/** The newest segment of a node's log. */
export function newestSegment(dataDir: string): string {
  const folder = join(dataDir, 'raft');
  const newest = readdirSync(folder)
    .filter((name) => SEGMENT_NAME.test(name))
    .sort()
    .at(-1);
  if (newest === undefined) throw new Error(`no log segment in ${folder}`);
  return join(folder, newest);
}

/** Where the frames of a segment begin, and after the last byte of the last one. */
export function framesOf(path: string): { readonly offsets: number[]; readonly end: number } {
  const bytes = readFileSync(path);
  const offsets: number[] = [];
  for (let at = bytes.indexOf(FRAME_MARK); at >= 0; at = bytes.indexOf(FRAME_MARK, at + 1)) {
    if (bytes.readUInt32LE(at + OFFSET_AT) === at) offsets.push(at);
  }
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return { offsets, end };
}

/** Changes one bit; the same call again puts it back. */
export function flipBit(path: string, offset: number, bit: number): void {
  const file = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, offset);
  byte.writeUInt8(byte.readUInt8(0) ^ (1 << bit), 0);
  writeSync(file, byte, 0, 1, offset);
  closeSync(file);
}

export function overwrite(path: string, offset: number, bytes: Buffer): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, offset);
  closeSync(file);
}

/** How a log line names the file. */
export function nameOf(path: string): string {
  return basename(path);
}
