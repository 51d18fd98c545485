/**
 * What goes to follower clusters, made from what the log and the tables hold: `replication.v1`
 * commands, and the records of a streamed snapshot.
 *
 * A command is passed on as the bytes that lie in the log, but for what is of its cluster alone. What a peer that is not Flotilla needs to
 * find in them is put behind: of a field that is there twice, every decoder takes the last one.
 */
import { Command, Command_CommandType } from '../generated/mvcc/v1/mvcc.js';
import { type FeedEntry } from './feed-codecs.js';
import { WireReader } from './wire-reader.js';
import {
  copyInto,
  dataBytes,
  filled,
  nestedBytes,
  numberBytes,
  varintBytes,
  writeData,
  writeNested,
  writeNumber,
  writePresentData,
  writeVarint,
} from './wire-writer.js';

const { DUMMY, SEQUENCE } = Command_CommandType;
/** Newer kinds make a server of Regatta end with a panic. */
const TYPE_MAX = SEQUENCE;

const TAG_TYPE = 0x10;
const TAG_LEADER_INDEX = 0x28;
const LENGTH_PREFIX_BYTES = 8;

/** Bytes of an entry as `replication.v1.ReplicateCommand`, at most. */
export function replicateCommandBytesMax({ command }: FeedEntry, table: Uint8Array): number {
  return command.length + table.length + 64;
}

/**
 * `ReplicateResponse` with commands. Entries without one, and those of kinds that a peer may not know,
 * become DUMMY: their index must not be missing.
 */
export function encodeReplicateCommands(
  table: Uint8Array,
  entries: readonly FeedEntry[],
  leaderIndex: number,
): Buffer {
  const commands = entries.map(({ index, command }) => ({ index, body: known(table, command) }));
  const sizes = commands.map(({ index, body }) => {
    const command = body.length + 1 + varintBytes(index);
    return { command, whole: numberBytes(index) + nestedBytes(command) };
  });
  let content = 0;
  for (const { whole } of sizes) content += nestedBytes(whole);
  const out = Buffer.allocUnsafe(nestedBytes(content) + numberBytes(leaderIndex));
  let at = writeNested(out, 0, 0x0a, content);
  for (const [nth, { index, body }] of commands.entries()) {
    const size = sizes[nth] ?? { command: 0, whole: 0 };
    at = writeNested(out, at, 0x0a, size.whole);
    at = writeNumber(out, at, 0x08, index);
    at = writeNested(out, at, 0x12, size.command);
    at = copyInto(out, at, body);
    at = writeNumber(out, at, TAG_LEADER_INDEX, index);
  }
  return filled(out, writeNumber(out, at, 0x40, leaderIndex));
}

/** A pair as a record of a snapshot: its length, 64 bits little-endian, and a PUT. */
export function encodeSnapshotPair(table: Uint8Array, key: Uint8Array, value: Uint8Array): Buffer {
  const pair = dataBytes(key) + dataBytes(value);
  const size = dataBytes(table) + nestedBytes(pair);
  const out = withLength(size);
  let at = writeData(out, LENGTH_PREFIX_BYTES, 0x0a, table);
  at = writeNested(out, at, 0x1a, pair);
  at = writeData(out, at, 0x0a, key);
  return filled(out, writeData(out, at, 0x22, value));
}

/** The record that closes a snapshot: which index of the leader's log the pairs stand for. */
export function encodeSnapshotEnd(table: Uint8Array, leaderIndex: number): Buffer {
  const index = 1 + varintBytes(leaderIndex);
  const out = withLength(dataBytes(table) + numberBytes(DUMMY) + index);
  let at = writeData(out, LENGTH_PREFIX_BYTES, 0x0a, table);
  at = writeNumber(out, at, TAG_TYPE, DUMMY);
  out[at] = TAG_LEADER_INDEX;
  return filled(out, writeVarint(out, at + 1, leaderIndex));
}

function withLength(size: number): Buffer {
  const out = Buffer.allocUnsafe(LENGTH_PREFIX_BYTES + size);
  out.writeBigUInt64LE(BigInt(size), 0);
  return out;
}

function known(table: Uint8Array, command: Uint8Array): Uint8Array {
  if (command.length === 0) return dummy(table);
  const bytes = Buffer.from(command.buffer, command.byteOffset, command.length);
  const type = commandType(bytes);
  if (type === SEQUENCE) return withKnownMembers(Command.decode(bytes));
  return type >= 0 && type <= TYPE_MAX ? command : dummy(table);
}

function dummy(table: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(nestedBytes(table.length) + numberBytes(DUMMY));
  const at = writePresentData(out, 0, 0x0a, table);
  return filled(out, writeNumber(out, at, TAG_TYPE, DUMMY));
}

function withKnownMembers(sequence: Command): Uint8Array {
  const ofOneCluster = { fence: undefined, fill: undefined, adoption: undefined };
  return Command.encode({ ...onlyKnown(sequence), ...ofOneCluster }).finish();
}

function onlyKnown(command: Command): Command {
  if (command.type > TYPE_MAX || command.type < 0) {
    const { table, leaderIndex } = command;
    return Command.fromPartial({ table, type: DUMMY, leaderIndex });
  }
  if (command.sequence.length === 0) return command;
  return { ...command, sequence: command.sequence.map(onlyKnown) };
}

function commandType(command: Buffer): number {
  const reader = new WireReader(command);
  let type = 0;
  while (reader.at < reader.end) {
    const tag = reader.uint32();
    if (tag === TAG_TYPE) type = reader.int32();
    else if (!reader.passOver(tag)) break;
  }
  return type;
}
