/**
 * From bytes to a `regatta.v1.TxnRequest`: its compares and the operations of its two branches.
 *
 * In: the bytes of a message. Out: an object with the fields, and their order, of the generated type,
 * with views of the input where the type has bytes. A nested message that is there twice is not
 * merged: the last one stands, as the generated decoder has it.
 */
import type {
  Compare,
  Compare_CompareResult,
  Compare_CompareTarget,
  RequestOp,
  RequestOp_DeleteRange,
  RequestOp_Put,
  RequestOp_Range,
} from '../generated/mvcc/v1/mvcc.js';
import type { TxnRequest } from '../generated/regatta/v1/regatta.js';
import { NO_BYTES, WireReader } from './wire-reader.js';

export function decodeTxnRequest(bytes: Buffer): TxnRequest {
  const reader = new WireReader(bytes);
  let table = NO_BYTES;
  const compare: Compare[] = [];
  const success: RequestOp[] = [];
  const failure: RequestOp[] = [];
  while (reader.at < reader.end) {
    const tag = reader.uint32();
    if (tag === 0x0a) table = reader.view();
    else if (tag === 0x12) compare.push(readCompare(reader, reader.nestedEnd()));
    else if (tag === 0x1a) success.push(readOperation(reader, reader.nestedEnd()));
    else if (tag === 0x22) failure.push(readOperation(reader, reader.nestedEnd()));
    else if (!reader.passOver(tag)) break;
  }
  return { table, compare, success, failure };
}

/** Values that no enum names are kept as they are: the door refuses them. */
function readCompare(reader: WireReader, end: number): Compare {
  let result = 0;
  let target = 0;
  let key = NO_BYTES;
  let targetUnion: Compare['targetUnion'];
  let rangeEnd = NO_BYTES;
  while (reader.at < end) {
    const tag = reader.uint32();
    if (tag === 0x08) result = reader.int32();
    else if (tag === 0x10) target = reader.int32();
    else if (tag === 0x1a) key = reader.view();
    else if (tag === 0x22) targetUnion = { $case: 'value', value: reader.view() };
    else if (tag === 0x202) rangeEnd = reader.view();
    else if (!reader.passOver(tag)) break;
  }
  return {
    result: result as Compare_CompareResult,
    target: target as Compare_CompareTarget,
    key,
    targetUnion,
    rangeEnd,
  };
}

function readOperation(reader: WireReader, end: number): RequestOp {
  let request: RequestOp['request'];
  while (reader.at < end) {
    const tag = reader.uint32();
    if (tag === 0x0a) {
      request = { $case: 'requestRange', value: readRange(reader, reader.nestedEnd()) };
    } else if (tag === 0x12) {
      request = { $case: 'requestPut', value: readPut(reader, reader.nestedEnd()) };
    } else if (tag === 0x1a) {
      request = { $case: 'requestDeleteRange', value: readDeleteRange(reader, reader.nestedEnd()) };
    } else if (!reader.passOver(tag)) break;
  }
  return { request };
}

function readRange(reader: WireReader, end: number): RequestOp_Range {
  let key = NO_BYTES;
  let rangeEnd = NO_BYTES;
  let limit = 0n;
  let keysOnly = false;
  let countOnly = false;
  while (reader.at < end) {
    const tag = reader.uint32();
    if (tag === 0x0a) key = reader.view();
    else if (tag === 0x12) rangeEnd = reader.view();
    else if (tag === 0x18) limit = reader.int64();
    else if (tag === 0x20) keysOnly = reader.bool();
    else if (tag === 0x28) countOnly = reader.bool();
    else if (!reader.passOver(tag)) break;
  }
  return { key, rangeEnd, limit, keysOnly, countOnly };
}

function readPut(reader: WireReader, end: number): RequestOp_Put {
  let key = NO_BYTES;
  let value = NO_BYTES;
  let prevKv = false;
  while (reader.at < end) {
    const tag = reader.uint32();
    if (tag === 0x0a) key = reader.view();
    else if (tag === 0x12) value = reader.view();
    else if (tag === 0x18) prevKv = reader.bool();
    else if (!reader.passOver(tag)) break;
  }
  return { key, value, prevKv };
}

function readDeleteRange(reader: WireReader, end: number): RequestOp_DeleteRange {
  let key = NO_BYTES;
  let rangeEnd = NO_BYTES;
  let prevKv = false;
  let count = false;
  while (reader.at < end) {
    const tag = reader.uint32();
    if (tag === 0x0a) key = reader.view();
    else if (tag === 0x12) rangeEnd = reader.view();
    else if (tag === 0x20) prevKv = reader.bool();
    else if (tag === 0x28) count = reader.bool();
    else if (!reader.passOver(tag)) break;
  }
  return { key, rangeEnd, prevKv, count };
}
