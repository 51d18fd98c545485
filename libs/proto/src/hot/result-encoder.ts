/**
 * What applying a command yielded, as bytes within an answer: `mvcc.v1.KeyValue` and `ResponseOp`.
 *
 * In: results as the version store gives them, with 64-bit integers as bigint. Out: their size, and
 * then their bytes in the buffer of the answer they are part of.
 */
import type { KeyValue, ResponseOp } from '../generated/mvcc/v1/mvcc.js';
import {
  dataBytes,
  flagBytes,
  int64Bytes,
  nestedBytes,
  writeData,
  writeFlag,
  writeInt64,
  writeNested,
} from './wire-writer.js';

export function keyValueBytes({ key, createRevision, modRevision, value }: KeyValue): number {
  const revisions = int64Bytes(createRevision) + int64Bytes(modRevision);
  return dataBytes(key) + revisions + dataBytes(value);
}

export function writeKeyValue(out: Buffer, from: number, pair: KeyValue): number {
  let at = writeData(out, from, 0x0a, pair.key);
  at = writeInt64(out, at, 0x10, pair.createRevision);
  at = writeInt64(out, at, 0x18, pair.modRevision);
  return writeData(out, at, 0x22, pair.value);
}

export function responseOpBytes({ response }: ResponseOp): number {
  return response ? nestedBytes(resultBytes(response)) : 0;
}

type Result = NonNullable<ResponseOp['response']>;

function resultBytes(result: Result): number {
  switch (result.$case) {
    case 'responseRange': {
      const { kvs, more, count } = result.value;
      return pairsBytes(kvs) + flagBytes(more) + int64Bytes(count);
    }
    case 'responsePut': {
      const { prevKv } = result.value;
      return prevKv ? nestedBytes(keyValueBytes(prevKv)) : 0;
    }
    case 'responseDeleteRange':
      return int64Bytes(result.value.deleted) + pairsBytes(result.value.prevKvs);
  }
}

export function writeResponseOp(out: Buffer, from: number, { response }: ResponseOp): number {
  if (!response) return from;
  const length = resultBytes(response);
  switch (response.$case) {
    case 'responseRange': {
      let at = writeNested(out, from, 0x0a, length);
      at = writePairs(out, at, 0x0a, response.value.kvs);
      at = writeFlag(out, at, 0x10, response.value.more);
      return writeInt64(out, at, 0x18, response.value.count);
    }
    case 'responsePut': {
      const { prevKv } = response.value;
      const at = writeNested(out, from, 0x12, length);
      return prevKv ? writePair(out, at, 0x0a, prevKv) : at;
    }
    case 'responseDeleteRange': {
      let at = writeNested(out, from, 0x1a, length);
      at = writeInt64(out, at, 0x08, response.value.deleted);
      return writePairs(out, at, 0x12, response.value.prevKvs);
    }
  }
}

function pairsBytes(pairs: readonly KeyValue[]): number {
  let size = 0;
  for (const pair of pairs) size += nestedBytes(keyValueBytes(pair));
  return size;
}

function writePairs(out: Buffer, from: number, tag: number, pairs: readonly KeyValue[]): number {
  let at = from;
  for (const pair of pairs) at = writePair(out, at, tag, pair);
  return at;
}

function writePair(out: Buffer, from: number, tag: number, pair: KeyValue): number {
  return writeKeyValue(out, writeNested(out, from, tag, keyValueBytes(pair)), pair);
}
