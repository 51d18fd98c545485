/**
 * Reads that a node without a copy passes on, as bytes: what must be there first, and the read itself.
 *
 *   request   min revision 8 | leader table id 8 | table length 2 | table | method length 2 | method | request
 *   answer    revision 8 | lag revisions 8 | lag ms 8 | answer       (2^64 - 1 where not known)
 *
 * Between nodes of one cluster only. A request that is cut off must never be taken for another one.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type CopyLag } from './lag-board.js';

export interface PassedRead {
  readonly table: Buffer;
  /** 0: whatever is there. */
  readonly minRevision: number;
  /** Id of the table in the leader cluster that the revision is of; 0 if that does not matter. */
  readonly leaderTableId: number;
  /** Empty: nothing is read, the caller only waits. */
  readonly method: string;
  readonly request: Uint8Array;
}

const NUMBER_BYTES = 8;
const LENGTH_BYTES = 2;
const LAG_BYTES = 3 * NUMBER_BYTES;
const UNKNOWN = 2n ** 64n - 1n;

export function encodeRead(read: PassedRead): Buffer {
  const method = Buffer.from(read.method);
  const head = Buffer.alloc(2 * NUMBER_BYTES);
  head.writeBigUInt64BE(BigInt(read.minRevision), 0);
  head.writeBigUInt64BE(BigInt(read.leaderTableId), NUMBER_BYTES);
  return Buffer.concat([head, sized(read.table), sized(method), read.request]);
}

export function decodeRead(bytes: Buffer): PassedRead {
  if (bytes.length < 2 * NUMBER_BYTES) throw cutOff();
  const minRevision = Number(bytes.readBigUInt64BE(0));
  const leaderTableId = Number(bytes.readBigUInt64BE(NUMBER_BYTES));
  const table = sizedAt(bytes, 2 * NUMBER_BYTES);
  const method = sizedAt(bytes, 2 * NUMBER_BYTES + LENGTH_BYTES + table.length);
  const from = 2 * NUMBER_BYTES + 2 * LENGTH_BYTES + table.length + method.length;
  const request = bytes.subarray(from);
  return { table, minRevision, leaderTableId, method: method.toString(), request };
}

export function encodeLag({ revision, lag }: CopyLag): Buffer {
  const bytes = Buffer.alloc(LAG_BYTES);
  bytes.writeBigUInt64BE(BigInt(revision), 0);
  bytes.writeBigUInt64BE(numberOrUnknown(lag?.revisions), NUMBER_BYTES);
  bytes.writeBigUInt64BE(numberOrUnknown(lag?.ms), 2 * NUMBER_BYTES);
  return bytes;
}

/** What a read answered, with how far the copy that answered is behind. */
export function splitAnswer(bytes: Uint8Array): {
  readonly copy: CopyLag;
  readonly answer: Buffer;
} {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (whole.length < LAG_BYTES) throw cutOff();
  const revisions = knownNumber(whole.readBigUInt64BE(NUMBER_BYTES));
  const ms = knownNumber(whole.readBigUInt64BE(2 * NUMBER_BYTES));
  const lag = revisions === undefined ? undefined : { revisions, ms };
  const copy = { revision: Number(whole.readBigUInt64BE(0)), lag };
  return { copy, answer: whole.subarray(LAG_BYTES) };
}

function sized(part: Buffer): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt16BE(part.length, 0);
  return Buffer.concat([length, part]);
}

function sizedAt(bytes: Buffer, at: number): Buffer {
  if (bytes.length < at + LENGTH_BYTES) throw cutOff();
  const from = at + LENGTH_BYTES;
  const end = from + bytes.readUInt16BE(at);
  if (bytes.length < end) throw cutOff();
  return bytes.subarray(from, end);
}

function numberOrUnknown(value: number | undefined): bigint {
  return value === undefined ? UNKNOWN : BigInt(value);
}

function knownNumber(value: bigint): number | undefined {
  return value === UNKNOWN ? undefined : Number(value);
}

function cutOff(): GrpcStatusError {
  return new GrpcStatusError(status.INTERNAL, 'a read between nodes is cut off');
}
