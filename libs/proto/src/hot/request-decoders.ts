/**
 * From bytes to the requests of `regatta.v1.KV` that act on a key or a range.
 *
 * In: the bytes of a message. Out: an object with the fields, and their order, of the generated type;
 * bytes fields are views of the input, so the input must not be written to while they are in use.
 * Whatever the generated decoder refuses is refused here, and nothing else is.
 */
import type {
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
} from '../generated/regatta/v1/regatta.js';
import { NO_BYTES, WireReader } from './wire-reader.js';

export function decodeRangeRequest(bytes: Buffer): RangeRequest {
  const reader = new WireReader(bytes);
  let table = NO_BYTES;
  let key = NO_BYTES;
  let rangeEnd = NO_BYTES;
  let limit = 0n;
  let linearizable = false;
  let keysOnly = false;
  let countOnly = false;
  let minModRevision = 0n;
  let maxModRevision = 0n;
  let minCreateRevision = 0n;
  let maxCreateRevision = 0n;
  while (reader.at < reader.end) {
    const tag = reader.uint32();
    if (tag === 0x0a) table = reader.view();
    else if (tag === 0x12) key = reader.view();
    else if (tag === 0x1a) rangeEnd = reader.view();
    else if (tag === 0x20) limit = reader.int64();
    else if (tag === 0x28) linearizable = reader.bool();
    else if (tag === 0x30) keysOnly = reader.bool();
    else if (tag === 0x38) countOnly = reader.bool();
    else if (tag === 0x40) minModRevision = reader.int64();
    else if (tag === 0x48) maxModRevision = reader.int64();
    else if (tag === 0x50) minCreateRevision = reader.int64();
    else if (tag === 0x58) maxCreateRevision = reader.int64();
    else if (!reader.passOver(tag)) break;
  }
  return {
    table,
    key,
    rangeEnd,
    limit,
    linearizable,
    keysOnly,
    countOnly,
    minModRevision,
    maxModRevision,
    minCreateRevision,
    maxCreateRevision,
  };
}

export function decodePutRequest(bytes: Buffer): PutRequest {
  const reader = new WireReader(bytes);
  let table = NO_BYTES;
  let key = NO_BYTES;
  let value = NO_BYTES;
  let prevKv = false;
  while (reader.at < reader.end) {
    const tag = reader.uint32();
    if (tag === 0x0a) table = reader.view();
    else if (tag === 0x12) key = reader.view();
    else if (tag === 0x1a) value = reader.view();
    else if (tag === 0x20) prevKv = reader.bool();
    else if (!reader.passOver(tag)) break;
  }
  return { table, key, value, prevKv };
}

export function decodeDeleteRangeRequest(bytes: Buffer): DeleteRangeRequest {
  const reader = new WireReader(bytes);
  let table = NO_BYTES;
  let key = NO_BYTES;
  let rangeEnd = NO_BYTES;
  let prevKv = false;
  let count = false;
  while (reader.at < reader.end) {
    const tag = reader.uint32();
    if (tag === 0x0a) table = reader.view();
    else if (tag === 0x12) key = reader.view();
    else if (tag === 0x1a) rangeEnd = reader.view();
    else if (tag === 0x20) prevKv = reader.bool();
    else if (tag === 0x28) count = reader.bool();
    else if (!reader.passOver(tag)) break;
  }
  return { table, key, rangeEnd, prevKv, count };
}
