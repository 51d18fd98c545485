/**
 * From results to the bytes of the answers of `regatta.v1.KV`.
 *
 * In: a header, and rows of the store (Range) or results of an applied command (the writes). Out: one
 * buffer of the exact size; every value is copied once, from where the store has it.
 */
import type { KeyValue, ResponseOp } from '../generated/mvcc/v1/mvcc.js';
import { type Header, headerBytes, writeHeader } from './header-encoder.js';
import {
  keyValueBytes,
  responseOpBytes,
  writeKeyValue,
  writeResponseOp,
} from './result-encoder.js';
import {
  copyInto,
  dataBytes,
  filled,
  flagBytes,
  int64Bytes,
  nestedBytes,
  numberBytes,
  writeData,
  writeFlag,
  writeInt64,
  writeNested,
  writeNumber,
} from './wire-writer.js';

/** A pair as the store reads it. */
export interface RowFields {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly createRevision: number;
  readonly modRevision: number;
}

export interface PageFields {
  readonly kvs: readonly RowFields[];
  readonly more: boolean;
  readonly count: number;
}

export function encodeRangeResponse(header: Header, { kvs, more, count }: PageFields): Buffer {
  let size = headerBytes(header) + flagBytes(more) + numberBytes(count);
  for (const row of kvs) size += nestedBytes(rowBytes(row));
  const out = Buffer.allocUnsafe(size);
  let at = writeHeader(out, 0, header);
  for (const row of kvs) at = writeRow(out, at, row);
  at = writeFlag(out, at, 0x20, more);
  return filled(out, writeNumber(out, at, 0x28, count));
}

/** Rows that are encoded already, as field `kvs` again and again, in pieces. */
export interface PackedPageFields {
  readonly parts: readonly Uint8Array[];
  /** Of all parts. */
  readonly bytes: number;
  readonly more: boolean;
  readonly count: number;
}

export function encodePackedRangeResponse(header: Header, page: PackedPageFields): Buffer {
  const { parts, bytes, more, count } = page;
  const out = Buffer.allocUnsafe(
    headerBytes(header) + bytes + flagBytes(more) + numberBytes(count),
  );
  let at = writeHeader(out, 0, header);
  for (const part of parts) at = copyInto(out, at, part);
  at = writeFlag(out, at, 0x20, more);
  return filled(out, writeNumber(out, at, 0x28, count));
}

function rowBytes({ key, value, createRevision, modRevision }: RowFields): number {
  const revisions = numberBytes(createRevision) + numberBytes(modRevision);
  return dataBytes(key) + revisions + dataBytes(value);
}

function writeRow(out: Buffer, from: number, row: RowFields): number {
  let at = writeNested(out, from, 0x1a, rowBytes(row));
  at = writeData(out, at, 0x0a, row.key);
  at = writeNumber(out, at, 0x10, row.createRevision);
  at = writeNumber(out, at, 0x18, row.modRevision);
  return writeData(out, at, 0x22, row.value);
}

export function encodePutResponse(header: Header, prevKv: KeyValue | undefined): Buffer {
  const size = headerBytes(header);
  if (prevKv === undefined) {
    const out = Buffer.allocUnsafe(size);
    return filled(out, writeHeader(out, 0, header));
  }
  const pair = keyValueBytes(prevKv);
  const out = Buffer.allocUnsafe(size + nestedBytes(pair));
  const at = writeNested(out, writeHeader(out, 0, header), 0x12, pair);
  return filled(out, writeKeyValue(out, at, prevKv));
}

export function encodeDeleteRangeResponse(
  header: Header,
  deleted: bigint,
  prevKvs: readonly KeyValue[],
): Buffer {
  let size = headerBytes(header) + int64Bytes(deleted);
  for (const pair of prevKvs) size += nestedBytes(keyValueBytes(pair));
  const out = Buffer.allocUnsafe(size);
  let at = writeHeader(out, 0, header);
  at = writeInt64(out, at, 0x10, deleted);
  for (const pair of prevKvs) {
    at = writeNested(out, at, 0x1a, keyValueBytes(pair));
    at = writeKeyValue(out, at, pair);
  }
  return filled(out, at);
}

export function encodeTxnResponse(
  header: Header,
  succeeded: boolean,
  responses: readonly ResponseOp[],
): Buffer {
  let size = headerBytes(header) + flagBytes(succeeded);
  for (const each of responses) size += nestedBytes(responseOpBytes(each));
  const out = Buffer.allocUnsafe(size);
  let at = writeHeader(out, 0, header);
  at = writeFlag(out, at, 0x10, succeeded);
  for (const each of responses) {
    at = writeNested(out, at, 0x1a, responseOpBytes(each));
    at = writeResponseOp(out, at, each);
  }
  return filled(out, at);
}
