/**
 * From a checked transaction to the bytes of a `mvcc.v1.Txn`.
 *
 * In: compares and operations, as decoded. Out: their size, and then their bytes in the buffer of the
 * command they are part of. What the decoder did not know is not in the objects and not in the log.
 */
import type { Compare, RequestOp } from '../generated/mvcc/v1/mvcc.js';
import {
  dataBytes,
  flagBytes,
  int32Bytes,
  int64Bytes,
  nestedBytes,
  writeData,
  writeFlag,
  writeInt32,
  writeInt64,
  writeNested,
  writePresentData,
} from './wire-writer.js';

export interface TxnFields {
  readonly compare: readonly Compare[];
  readonly success: readonly RequestOp[];
  readonly failure: readonly RequestOp[];
}

export function txnBytes({ compare, success, failure }: TxnFields): number {
  let size = 0;
  for (const each of compare) size += nestedBytes(compareBytes(each));
  return size + branchBytes(success) + branchBytes(failure);
}

export function writeTxn(out: Buffer, from: number, txn: TxnFields): number {
  let at = from;
  for (const each of txn.compare) {
    at = writeNested(out, at, 0x0a, compareBytes(each));
    at = writeCompare(out, at, each);
  }
  at = writeBranch(out, at, 0x12, txn.success);
  return writeBranch(out, at, 0x1a, txn.failure);
}

function branchBytes(operations: readonly RequestOp[]): number {
  let size = 0;
  for (const each of operations) size += nestedBytes(operationBytes(each));
  return size;
}

function writeBranch(out: Buffer, from: number, tag: number, ops: readonly RequestOp[]): number {
  let at = from;
  for (const each of ops) {
    at = writeNested(out, at, tag, operationBytes(each));
    at = writeOperation(out, at, each);
  }
  return at;
}

function compareBytes(compare: Compare): number {
  const { result, target, key, targetUnion, rangeEnd } = compare;
  const value = targetUnion ? nestedBytes(targetUnion.value.length) : 0;
  // The tag of range_end takes two bytes: 64 << 3 | 2 is 0x82 0x04.
  const end = rangeEnd.length === 0 ? 0 : 1 + dataBytes(rangeEnd);
  return int32Bytes(result) + int32Bytes(target) + dataBytes(key) + value + end;
}

function writeCompare(out: Buffer, from: number, compare: Compare): number {
  const { targetUnion, rangeEnd } = compare;
  let at = writeInt32(out, from, 0x08, compare.result);
  at = writeInt32(out, at, 0x10, compare.target);
  at = writeData(out, at, 0x1a, compare.key);
  if (targetUnion) at = writePresentData(out, at, 0x22, targetUnion.value);
  if (rangeEnd.length === 0) return at;
  out[at] = 0x82;
  return writePresentData(out, at + 1, 0x04, rangeEnd);
}

function operationBytes({ request }: RequestOp): number {
  return request ? nestedBytes(operandBytes(request)) : 0;
}

type Operation = NonNullable<RequestOp['request']>;

function operandBytes(operation: Operation): number {
  switch (operation.$case) {
    case 'requestRange': {
      const { key, rangeEnd, limit, keysOnly, countOnly } = operation.value;
      const data = dataBytes(key) + dataBytes(rangeEnd);
      return data + int64Bytes(limit) + flagBytes(keysOnly) + flagBytes(countOnly);
    }
    case 'requestPut': {
      const { key, value, prevKv } = operation.value;
      return dataBytes(key) + dataBytes(value) + flagBytes(prevKv);
    }
    case 'requestDeleteRange': {
      const { key, rangeEnd, prevKv, count } = operation.value;
      return dataBytes(key) + dataBytes(rangeEnd) + flagBytes(prevKv) + flagBytes(count);
    }
  }
}

function writeOperation(out: Buffer, from: number, { request }: RequestOp): number {
  if (!request) return from;
  const length = operandBytes(request);
  switch (request.$case) {
    case 'requestRange': {
      const { key, rangeEnd, limit, keysOnly, countOnly } = request.value;
      let at = writeNested(out, from, 0x0a, length);
      at = writeData(out, at, 0x0a, key);
      at = writeData(out, at, 0x12, rangeEnd);
      at = writeInt64(out, at, 0x18, limit);
      at = writeFlag(out, at, 0x20, keysOnly);
      return writeFlag(out, at, 0x28, countOnly);
    }
    case 'requestPut': {
      const { key, value, prevKv } = request.value;
      let at = writeNested(out, from, 0x12, length);
      at = writeData(out, at, 0x0a, key);
      at = writeData(out, at, 0x12, value);
      return writeFlag(out, at, 0x18, prevKv);
    }
    case 'requestDeleteRange': {
      const { key, rangeEnd, prevKv, count } = request.value;
      let at = writeNested(out, from, 0x1a, length);
      at = writeData(out, at, 0x0a, key);
      at = writeData(out, at, 0x12, rangeEnd);
      at = writeFlag(out, at, 0x20, prevKv);
      return writeFlag(out, at, 0x28, count);
    }
  }
}
