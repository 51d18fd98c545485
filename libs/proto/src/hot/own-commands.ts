/**
 * Commands that mean something in the cluster that wrote them alone: who may write into a copy, how a
 * table was filled, and adopted (`fence`, `fill`, `adoption` of `mvcc.v1.Command`).
 *
 * In: an encoded command as it lies in the log. Out: whether it is one. All of them are SEQUENCE, and the type
 * comes right behind the name of the table; most commands are passed by after a look at these two.
 */
import { Command_CommandType } from '../generated/mvcc/v1/mvcc.js';
import { WireReader } from './wire-reader.js';

const TAG_TABLE = 0x0a;
const TAG_TYPE = 0x10;
const FIELD_FENCE = 100;
const FIELD_ADOPTION = 102;
const FIELD_SHIFT = 3;
const { SEQUENCE } = Command_CommandType;

export function isOfOneCluster(command: Uint8Array): boolean {
  const at = command[0] === TAG_TABLE ? 2 + (command[1] ?? 0) : 0;
  const isShort = command[0] !== TAG_TABLE || (command[1] ?? 0) < 0x80;
  if (isShort && (command[at] !== TAG_TYPE || command[at + 1] !== SEQUENCE)) return false;
  return hasOwnFields(command);
}

function hasOwnFields(command: Uint8Array): boolean {
  const reader = new WireReader(
    Buffer.from(command.buffer, command.byteOffset, command.byteLength),
  );
  while (reader.at < reader.end) {
    const tag = reader.uint32();
    const field = tag >>> FIELD_SHIFT;
    if (field >= FIELD_FENCE && field <= FIELD_ADOPTION) return true;
    if (!reader.passOver(tag)) break;
  }
  return false;
}
