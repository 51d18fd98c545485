/**
 * From a frame to its bytes: `flotilla.peer.v1.Frame`, in one buffer of the exact size.
 *
 * Fields that are 0, false or absent are left out, as proto3 does. The state of a snapshot and the
 * local responses of a message are never sent.
 */
import type { ConfState, Entry, Message, SnapshotMetadata } from '../core/types.js';
import type { PassedAnswer, PassedCall, PeerFrame } from './peer-frame.js';

/** Tag and length of what is nested, at most. */
const NESTED_HEADER_BYTES_MAX = 6;

export function encodeFrame(frame: PeerFrame): Uint8Array {
  let size = 0;
  for (const { group, message } of frame.messages) size += nested(envelopeBytes(group, message));
  if (frame.heartbeat) size += nested(heartbeatBytes(frame.heartbeat));
  for (const { group, term, index } of frame.quiesce) {
    size += nested(field(group) + field(term) + field(index));
  }
  for (const call of frame.calls) size += nested(callBytes(call));
  for (const answer of frame.answers) size += nested(answerBytes(answer));
  const out = new Out(Buffer.allocUnsafe(size));
  for (const { group, message } of frame.messages) {
    out.open(0x0a, envelopeBytes(group, message));
    out.field(0x08, group);
    const size = messageBytes(message);
    out.open(0x12, size);
    writeMessage(out, message);
  }
  if (frame.heartbeat) {
    out.open(0x12, heartbeatBytes(frame.heartbeat));
    out.field(0x08, frame.heartbeat.sequence);
    out.flag(0x10, frame.heartbeat.draining);
  }
  for (const { group, term, index } of frame.quiesce) {
    out.open(0x1a, field(group) + field(term) + field(index));
    out.field(0x08, group);
    out.field(0x10, term);
    out.field(0x18, index);
  }
  for (const call of frame.calls) writeCall(out, call);
  for (const answer of frame.answers) writeAnswer(out, answer);
  return out.done();
}

function writeCall(out: Out, call: PassedCall): void {
  out.open(0x22, callBytes(call));
  out.field(0x08, call.id);
  out.text(0x12, call.method);
  out.data(0x1a, call.request);
  out.field(0x20, call.hops);
  out.field(0x28, call.timeoutMs);
}

function writeAnswer(out: Out, answer: PassedAnswer): void {
  out.open(0x2a, answerBytes(answer));
  out.field(0x08, answer.id);
  out.data(0x12, answer.answer);
  out.field(0x18, answer.index);
  out.field(0x20, answer.code);
  out.text(0x2a, answer.message);
  out.flag(0x30, answer.notExecuted);
}

function callBytes({ id, method, request, hops, timeoutMs }: PassedCall): number {
  return field(id) + text(method) + data(request) + field(hops) + field(timeoutMs);
}

function answerBytes(answer: PassedAnswer): number {
  const { id, index, code, notExecuted } = answer;
  const numbers = field(id) + field(index) + field(code) + flag(notExecuted);
  return numbers + data(answer.answer) + text(answer.message);
}

/** Size of a message in a frame, in bytes, header included. */
export function messageFrameBytes(message: Message): number {
  return messageBytes(message) + 2 * NESTED_HEADER_BYTES_MAX + 9;
}

function envelopeBytes(group: number, message: Message): number {
  return field(group) + nested(messageBytes(message));
}

function heartbeatBytes(heartbeat: { sequence: number; draining: boolean }): number {
  return field(heartbeat.sequence) + flag(heartbeat.draining);
}

function messageBytes(message: Message): number {
  let size =
    field(message.type) +
    field(message.to) +
    field(message.from) +
    field(message.term) +
    field(message.logTerm) +
    field(message.index) +
    field(message.commit) +
    flag(message.reject) +
    field(message.rejectHint) +
    field(message.vote);
  for (const entry of message.entries) size += nested(entryBytes(entry));
  if (message.snapshot) size += nested(metadataBytes(message.snapshot.metadata));
  if (message.context) size += nested(message.context.length);
  return size;
}

function entryBytes({ type, term, index, data: payload }: Entry): number {
  return (
    field(type) + field(term) + field(index) + (payload.length > 0 ? nested(payload.length) : 0)
  );
}

function metadataBytes({ index, term, confState }: SnapshotMetadata): number {
  return field(index) + field(term) + nested(confBytes(confState));
}

function confBytes(conf: ConfState): number {
  return (
    list(conf.voters) +
    list(conf.learners) +
    list(conf.votersOutgoing) +
    list(conf.learnersNext) +
    flag(conf.autoLeave)
  );
}

function writeMessage(out: Out, message: Message): void {
  out.field(0x08, message.type);
  out.field(0x10, message.to);
  out.field(0x18, message.from);
  out.field(0x20, message.term);
  out.field(0x28, message.logTerm);
  out.field(0x30, message.index);
  for (const entry of message.entries) {
    out.open(0x3a, entryBytes(entry));
    out.field(0x08, entry.type);
    out.field(0x10, entry.term);
    out.field(0x18, entry.index);
    if (entry.data.length > 0) out.bytes(0x22, entry.data);
  }
  out.field(0x40, message.commit);
  if (message.snapshot) writeMetadata(out, message.snapshot.metadata);
  out.flag(0x50, message.reject);
  out.field(0x58, message.rejectHint);
  if (message.context) out.bytes(0x62, message.context);
  out.field(0x68, message.vote);
}

function writeMetadata(out: Out, metadata: SnapshotMetadata): void {
  const { confState } = metadata;
  out.open(0x4a, metadataBytes(metadata));
  out.field(0x08, metadata.index);
  out.field(0x10, metadata.term);
  out.open(0x1a, confBytes(confState));
  out.list(0x0a, confState.voters);
  out.list(0x12, confState.learners);
  out.list(0x1a, confState.votersOutgoing);
  out.list(0x22, confState.learnersNext);
  out.flag(0x28, confState.autoLeave);
}

function varintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  let size = 3;
  for (let rest = value / 0x200000; rest >= 1; rest /= 128) size++;
  return size;
}

/** A number and its tag. */
function field(value: number): number {
  return value === 0 ? 0 : 1 + varintBytes(value);
}

function flag(value: boolean): number {
  return value ? 2 : 0;
}

function nested(length: number): number {
  return 1 + varintBytes(length) + length;
}

function data(bytes: Uint8Array): number {
  return bytes.length === 0 ? 0 : nested(bytes.length);
}

function text(value: string): number {
  return value === '' ? 0 : nested(Buffer.byteLength(value));
}

function list(values: readonly number[]): number {
  return values.length === 0 ? 0 : nested(packedBytes(values));
}

function packedBytes(values: readonly number[]): number {
  let size = 0;
  for (const value of values) size += varintBytes(value);
  return size;
}

class Out {
  private at = 0;

  constructor(private readonly target: Buffer) {}

  field(tag: number, value: number): void {
    if (value === 0) return;
    this.target[this.at++] = tag;
    this.varint(value);
  }

  flag(tag: number, value: boolean): void {
    if (value) this.field(tag, 1);
  }

  open(tag: number, length: number): void {
    this.target[this.at++] = tag;
    this.varint(length);
  }

  bytes(tag: number, data: Uint8Array): void {
    this.open(tag, data.length);
    this.target.set(data, this.at);
    this.at += data.length;
  }

  data(tag: number, bytes: Uint8Array): void {
    if (bytes.length > 0) this.bytes(tag, bytes);
  }

  text(tag: number, value: string): void {
    if (value === '') return;
    this.open(tag, Buffer.byteLength(value));
    this.at += this.target.write(value, this.at);
  }

  list(tag: number, values: readonly number[]): void {
    if (values.length === 0) return;
    this.open(tag, packedBytes(values));
    for (const value of values) this.varint(value);
  }

  done(): Uint8Array {
    if (this.at !== this.target.length) {
      throw new Error(`a frame of ${this.target.length} bytes took ${this.at}`);
    }
    return this.target;
  }

  private varint(value: number): void {
    const { target } = this;
    let rest = value;
    while (rest >= 0x80) {
      target[this.at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    target[this.at++] = rest;
  }
}
