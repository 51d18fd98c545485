/**
 * From bytes to a frame: `flotilla.peer.v1.Frame`. Payloads are views into the bytes that came in.
 *
 * Whatever is not a frame throws `WireError`; fields that are not known are passed over.
 */
import { NO_BYTES, newMessage } from '../core/message.js';
import {
  EntryType,
  MessageType,
  type ConfState,
  type Entry,
  type Message,
  type Snapshot,
} from '../core/types.js';
import { FieldReader } from './varint-reader.js';
import type { PassedAnswer, PassedCall, PeerFrame } from './peer-frame.js';
import { WireError, WireErrorCode } from './wire-error.js';

const MESSAGE_TYPE_MAX = MessageType.ForgetLeader;
const ENTRY_TYPE_MAX = EntryType.ConfChangeV2;

export function decodeFrame(bytes: Uint8Array): PeerFrame {
  const reader = new FieldReader(bytes, 0, bytes.length);
  const messages: { group: number; message: Message }[] = [];
  const quiesce: { group: number; term: number; index: number }[] = [];
  const calls: PassedCall[] = [];
  const answers: PassedAnswer[] = [];
  let heartbeat: PeerFrame['heartbeat'];
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    if (tag === 0x0a) messages.push(readEnvelope(reader.message()));
    else if (tag === 0x12) heartbeat = readHeartbeat(reader.message());
    else if (tag === 0x1a) quiesce.push(readQuiesce(reader.message()));
    else if (tag === 0x22) calls.push(readCall(reader.message()));
    else if (tag === 0x2a) answers.push(readAnswer(reader.message()));
    else skipUnknown(reader, tag, 5);
  }
  return { messages, heartbeat, quiesce, calls, answers };
}

function readCall(reader: FieldReader): PassedCall {
  const request: Uint8Array = NO_BYTES;
  const call = { id: 0, method: '', request, hops: 0, timeoutMs: 0 };
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    if (tag === 0x08) call.id = reader.varint();
    else if (tag === 0x12) call.method = reader.text();
    else if (tag === 0x1a) call.request = reader.view();
    else if (tag === 0x20) call.hops = reader.varint();
    else if (tag === 0x28) call.timeoutMs = reader.varint();
    else skipUnknown(reader, tag, 5);
  }
  return call;
}

function readAnswer(reader: FieldReader): PassedAnswer {
  const none: Uint8Array = NO_BYTES;
  const answer = { id: 0, answer: none, index: 0, code: 0, message: '', notExecuted: false };
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    if (tag === 0x08) answer.id = reader.varint();
    else if (tag === 0x12) answer.answer = reader.view();
    else if (tag === 0x18) answer.index = reader.varint();
    else if (tag === 0x20) answer.code = reader.varint();
    else if (tag === 0x2a) answer.message = reader.text();
    else if (tag === 0x30) answer.notExecuted = reader.varint() !== 0;
    else skipUnknown(reader, tag, 6);
  }
  return answer;
}

function readEnvelope(reader: FieldReader): { group: number; message: Message } {
  let group = 0;
  let message: Message | undefined;
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    if (tag === 0x08) group = reader.varint();
    else if (tag === 0x12) message = readMessage(reader.message());
    else skipUnknown(reader, tag, 2);
  }
  return { group, message: message ?? newMessage(MessageType.Hup, 0) };
}

function readHeartbeat(reader: FieldReader): { sequence: number; draining: boolean } {
  let sequence = 0;
  let draining = false;
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    if (tag === 0x08) sequence = reader.varint();
    else if (tag === 0x10) draining = reader.varint() !== 0;
    else skipUnknown(reader, tag, 2);
  }
  return { sequence, draining };
}

function readQuiesce(reader: FieldReader): { group: number; term: number; index: number } {
  let group = 0;
  let term = 0;
  let index = 0;
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    if (tag === 0x08) group = reader.varint();
    else if (tag === 0x10) term = reader.varint();
    else if (tag === 0x18) index = reader.varint();
    else skipUnknown(reader, tag, 3);
  }
  return { group, term, index };
}

function readMessage(reader: FieldReader): Message {
  const message = newMessage(MessageType.Hup, 0);
  let entries: Entry[] | undefined;
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    if (tag === 0x08) message.type = messageType(reader.varint());
    else if (tag === 0x10) message.to = reader.varint();
    else if (tag === 0x18) message.from = reader.varint();
    else if (tag === 0x20) message.term = reader.varint();
    else if (tag === 0x28) message.logTerm = reader.varint();
    else if (tag === 0x30) message.index = reader.varint();
    else if (tag === 0x3a) (entries ??= []).push(readEntry(reader.message()));
    else if (tag === 0x40) message.commit = reader.varint();
    else if (tag === 0x4a) message.snapshot = readSnapshot(reader.message());
    else if (tag === 0x50) message.reject = reader.varint() !== 0;
    else if (tag === 0x58) message.rejectHint = reader.varint();
    else if (tag === 0x62) message.context = reader.view();
    else if (tag === 0x68) message.vote = reader.varint();
    else skipUnknown(reader, tag, 13);
  }
  if (entries) message.entries = entries;
  return message;
}

function readEntry(reader: FieldReader): Entry {
  let type: EntryType = EntryType.Normal;
  let term = 0;
  let index = 0;
  let data: Uint8Array = NO_BYTES;
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    if (tag === 0x08) type = entryType(reader.varint());
    else if (tag === 0x10) term = reader.varint();
    else if (tag === 0x18) index = reader.varint();
    else if (tag === 0x22) data = reader.view();
    else skipUnknown(reader, tag, 4);
  }
  return { term, index, type, data };
}

function readSnapshot(reader: FieldReader): Snapshot {
  let index = 0;
  let term = 0;
  let confState: ConfState | undefined;
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    if (tag === 0x08) index = reader.varint();
    else if (tag === 0x10) term = reader.varint();
    else if (tag === 0x1a) confState = readConfState(reader.message());
    else skipUnknown(reader, tag, 3);
  }
  confState ??= readConfState(new FieldReader(NO_BYTES, 0, 0));
  return { data: NO_BYTES, metadata: { index, term, confState } };
}

function readConfState(reader: FieldReader): ConfState {
  const lists: [number[], number[], number[], number[]] = [[], [], [], []];
  let autoLeave = false;
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    const at = (tag >> 3) - 1;
    const list = lists[at];
    if (list) reader.numbers(tag & 7, list);
    else if (tag === 0x28) autoLeave = reader.varint() !== 0;
    else skipUnknown(reader, tag, 5);
  }
  const [voters, learners, votersOutgoing, learnersNext] = lists;
  return { voters, learners, votersOutgoing, learnersNext, autoLeave };
}

/** A known field with another type is damage; an unknown one is of a newer version. */
function skipUnknown(reader: FieldReader, tag: number, knownFields: number): void {
  const number = Math.floor(tag / 8);
  if (number === 0 || number <= knownFields) {
    throw new WireError(WireErrorCode.Type, `field ${number} has the wrong type`);
  }
  reader.skip(tag & 7);
}

function messageType(value: number): MessageType {
  if (value > MESSAGE_TYPE_MAX) {
    throw new WireError(WireErrorCode.Number, `there is no message type ${value}`);
  }
  return value as MessageType;
}

function entryType(value: number): EntryType {
  if (value > ENTRY_TYPE_MAX) {
    throw new WireError(WireErrorCode.Number, `there is no entry type ${value}`);
  }
  return value as EntryType;
}
