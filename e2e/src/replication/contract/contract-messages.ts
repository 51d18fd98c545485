/**
 * The messages of replication as the contract has them: field numbers, kinds of commands, nothing else.
 *
 * In: bytes of an answer. Out: what a server of Regatta would read in them; it refuses what such a
 * server could not take.
 */
import { Fields, type Shape } from './wire.js';

export const COMMAND = {
  put: 0,
  delete: 1,
  dummy: 2,
  putBatch: 3,
  deleteBatch: 4,
  txn: 5,
  sequence: 6,
} as const;
const COMMAND_TYPE_MAX = COMMAND.sequence;
export const REPLICATE_ERROR = { useSnapshot: 0, leaderBehind: 1 } as const;

const KEY_VALUE: Shape = { 1: 'bytes', 2: 'varint', 3: 'varint', 4: 'bytes' };
const COMMAND_SHAPE: Shape = {
  ...{ 1: 'bytes', 2: 'varint', 3: 'bytes', 5: 'varint', 6: 'bytes', 7: 'bytes', 8: 'bytes' },
  ...{ 9: 'varint', 10: 'bytes', 11: 'varint' },
};
const TXN: Shape = { 1: 'bytes', 2: 'bytes', 3: 'bytes' };
const COMPARE: Shape = { 1: 'varint', 2: 'varint', 3: 'bytes', 4: 'bytes', 64: 'bytes' };
const OPERATION: Shape = { 1: 'bytes', 2: 'bytes', 3: 'bytes' };
const RANGE: Shape = { 1: 'bytes', 2: 'bytes', 3: 'varint', 4: 'varint', 5: 'varint' };
const PUT: Shape = { 1: 'bytes', 2: 'bytes', 3: 'varint' };
const DELETE_RANGE: Shape = { 1: 'bytes', 2: 'bytes', 4: 'varint', 5: 'varint' };

export interface Pair {
  readonly key: Buffer;
  readonly value: Buffer;
}

export interface Compare {
  readonly result: number;
  readonly key: Buffer;
  readonly value: Buffer | undefined;
  readonly rangeEnd: Buffer;
}

export type Operation =
  | { readonly kind: 'range' }
  | ({ readonly kind: 'put' } & Pair)
  | { readonly kind: 'delete'; readonly key: Buffer; readonly rangeEnd: Buffer };

export interface Command {
  readonly table: string;
  readonly type: number;
  readonly kv: Pair | undefined;
  readonly leaderIndex: number | undefined;
  readonly batch: readonly Pair[];
  readonly txn: Txn | undefined;
  /** Present and empty is not absent. */
  readonly rangeEnd: Buffer | undefined;
  readonly sequence: readonly Command[];
}

export interface Txn {
  readonly compare: readonly Compare[];
  readonly success: readonly Operation[];
  readonly failure: readonly Operation[];
}

export type ReplicateAnswer =
  | {
      readonly kind: 'commands';
      readonly commands: readonly { readonly leaderIndex: number; readonly command: Command }[];
      readonly leaderIndex: number;
    }
  | { readonly kind: 'error'; readonly error: number }
  | { readonly kind: 'final'; readonly leaderIndex: number };

export function readReplicateAnswer(bytes: Buffer): ReplicateAnswer {
  const fields = new Fields(bytes, 'ReplicateResponse', { 1: 'bytes', 2: 'bytes', 8: 'varint' });
  const leaderIndex = fields.number(8);
  if (fields.has(1) && fields.has(2)) throw new Error('an answer has commands and an error');
  if (fields.has(2)) {
    const error = new Fields(fields.bytes(2), 'ReplicateErrResponse', { 1: 'varint' }).number(1);
    return { kind: 'error', error };
  }
  if (!fields.has(1)) return { kind: 'final', leaderIndex };
  const list = new Fields(fields.bytes(1), 'ReplicateCommandsResponse', { 1: 'bytes' }).all(1);
  const commands = list.map((each) => {
    const one = new Fields(each, 'ReplicateCommand', { 1: 'varint', 2: 'bytes' });
    return { leaderIndex: one.number(1), command: readCommand(one.bytes(2)) };
  });
  return { kind: 'commands', commands, leaderIndex };
}

export function readCommand(bytes: Buffer): Command {
  const fields = new Fields(bytes, 'Command', COMMAND_SHAPE);
  const type = fields.number(2);
  if (type > COMMAND_TYPE_MAX) throw new Error(`unknown command type ${type}`);
  return {
    table: fields.text(1),
    type,
    kv: fields.has(3) ? readPair(fields.bytes(3)) : undefined,
    leaderIndex: fields.has(5) ? fields.number(5) : undefined,
    batch: fields.all(6).map(readPair),
    txn: fields.has(7) ? readTxn(fields.bytes(7)) : undefined,
    rangeEnd: fields.has(8) ? fields.bytes(8) : undefined,
    sequence: fields.all(10).map(readCommand),
  };
}

export function readPair(bytes: Buffer): Pair {
  const fields = new Fields(bytes, 'KeyValue', KEY_VALUE);
  return { key: fields.bytes(1), value: fields.bytes(4) };
}

function readTxn(bytes: Buffer): Txn {
  const fields = new Fields(bytes, 'Txn', TXN);
  return {
    compare: fields.all(1).map(readCompare),
    success: fields.all(2).map(readOperation),
    failure: fields.all(3).map(readOperation),
  };
}

function readCompare(bytes: Buffer): Compare {
  const fields = new Fields(bytes, 'Compare', COMPARE);
  // Such a server knows but one target; another one it would take for this one.
  if (fields.number(2) !== 0) throw new Error(`a compare has target ${fields.number(2)}`);
  const value = fields.has(4) ? fields.bytes(4) : undefined;
  return { result: fields.number(1), key: fields.bytes(3), value, rangeEnd: fields.bytes(64) };
}

function readOperation(bytes: Buffer): Operation {
  const fields = new Fields(bytes, 'RequestOp', OPERATION);
  if (fields.has(2)) {
    const put = new Fields(fields.bytes(2), 'RequestOp.Put', PUT);
    return { kind: 'put', key: put.bytes(1), value: put.bytes(2) };
  }
  if (fields.has(3)) {
    const removal = new Fields(fields.bytes(3), 'RequestOp.DeleteRange', DELETE_RANGE);
    return { kind: 'delete', key: removal.bytes(1), rangeEnd: removal.bytes(2) };
  }
  if (!fields.has(1)) throw new Error('an operation is without a request');
  void new Fields(fields.bytes(1), 'RequestOp.Range', RANGE);
  return { kind: 'range' };
}
