/**
 * What a leader cluster sends of a log (`replication.v1.ReplicateResponse`), for whoever pulls it.
 *
 * In: a message. Out: what kind it is, and its commands as they came, each carrying the index of its
 * entry: where the sender has left that to the entry, or put another one into the command, it is written
 * behind the rest, and of a field that is there twice the last one counts. Nothing is decoded that
 * pullers do not look at.
 */
import { type ReceivedEntry } from './feed-codecs.js';
import { NO_BYTES, WireReader } from './wire-reader.js';
import { copyInto, filled, numberBytes, writeNumber } from './wire-writer.js';

export interface ReplicateMessage {
  /** `final` is what has neither commands nor an error: it only tells where the leader stands. */
  readonly kind: 'commands' | 'error' | 'final';
  readonly entries: readonly ReceivedEntry[];
  /** Number of a `ReplicateError`; of meaning with the kind `error` alone. */
  readonly error: number;
  readonly leaderIndex: number;
}

const TAG_LEADER_INDEX = 0x28;

/** Throws for what is cut short, and for numbers beyond 2^53 - 1. */
export function decodeReplicateResponse(bytes: Buffer): ReplicateMessage {
  const reader = new WireReader(bytes);
  const entries: ReceivedEntry[] = [];
  let kind: ReplicateMessage['kind'] = 'final';
  let error = 0;
  let leaderIndex = 0;
  while (reader.at < reader.end) {
    const tag = reader.uint32();
    if (tag === 0x0a) {
      kind = 'commands';
      readCommands(reader, entries);
    } else if (tag === 0x12) {
      kind = 'error';
      error = readError(reader);
    } else if (tag === 0x40) leaderIndex = reader.count();
    else if (!reader.passOver(tag)) break;
  }
  return { kind, entries, error, leaderIndex };
}

function readCommands(reader: WireReader, entries: ReceivedEntry[]): void {
  const end = reader.nestedEnd();
  while (reader.at < end) {
    const tag = reader.uint32();
    if (tag === 0x0a) entries.push(readCommand(reader));
    else if (!reader.passOver(tag)) break;
  }
}

function readCommand(reader: WireReader): ReceivedEntry {
  const end = reader.nestedEnd();
  let index = 0;
  let command: Buffer = NO_BYTES;
  while (reader.at < end) {
    const tag = reader.uint32();
    if (tag === 0x08) index = reader.count();
    else if (tag === 0x12) command = reader.view();
    else if (!reader.passOver(tag)) break;
  }
  return { index, command: withIndex(command, index) };
}

function readError(reader: WireReader): number {
  const end = reader.nestedEnd();
  let error = 0;
  while (reader.at < end) {
    const tag = reader.uint32();
    if (tag === 0x08) error = reader.int32();
    else if (!reader.passOver(tag)) break;
  }
  return error;
}

/** The command with `index` as its leader index, which must be above 0. */
function withIndex(command: Buffer, index: number): Buffer {
  const tail = Buffer.allocUnsafe(numberBytes(index));
  filled(tail, writeNumber(tail, 0, TAG_LEADER_INDEX, index));
  if (tail.length > 0 && command.subarray(-tail.length).equals(tail) && isLastField(command, tail))
    return command;
  const out = Buffer.allocUnsafe(command.length + tail.length);
  return filled(out, copyInto(out, copyInto(out, 0, command), tail));
}

/** Whether the command ends with that field, and not with data that looks like it. */
function isLastField(command: Buffer, tail: Buffer): boolean {
  const reader = new WireReader(command);
  const last = command.length - tail.length;
  while (reader.at < last) {
    if (!reader.passOver(reader.uint32())) return false;
  }
  return reader.at === last;
}
