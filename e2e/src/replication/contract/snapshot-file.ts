/**
 * A snapshot as the contract has it: a framed snappy stream whose plain content is
 * `u64 little-endian length, Command` over and over.
 *
 * In: the whole stream. Out: its records. Strict: lengths are compared with what a server of Regatta has
 * room for, and no byte may be left.
 */
import { type Command, readCommand } from './contract-messages.js';
import { unpackFramed } from './framed-snappy.js';

const LENGTH_BYTES = 8;
const RECORD_BYTES_MAX = 4 * 1024 * 1024;

export function readSnapshotFile(stream: Buffer): Command[] {
  const plain = unpackFramed(stream);
  const commands: Command[] = [];
  for (let at = 0; at < plain.length;) {
    if (at + LENGTH_BYTES > plain.length) throw new Error('a snapshot ends within a length');
    const length = plain.readBigUInt64LE(at);
    if (length > BigInt(RECORD_BYTES_MAX)) throw new Error(`a record has ${length} bytes`);
    const end = at + LENGTH_BYTES + Number(length);
    if (end > plain.length) throw new Error('a snapshot ends within a record');
    commands.push(readCommand(plain.subarray(at + LENGTH_BYTES, end)));
    at = end;
  }
  return commands;
}
