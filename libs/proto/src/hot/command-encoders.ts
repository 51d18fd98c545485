/**
 * From a checked request to the bytes of its log command: `mvcc.v1.Command`, made once.
 *
 * In: the fields of a request, usually views of the message that came in. Out: one buffer of the exact
 * size, with a copy of each field: the log keeps it long after the message is gone.
 */
import { Command_CommandType } from '../generated/mvcc/v1/mvcc.js';
import { type TxnFields, txnBytes, writeTxn } from './txn-encoder.js';
import {
  dataBytes,
  filled,
  flagBytes,
  nestedBytes,
  numberBytes,
  writeData,
  writeFlag,
  writeNested,
  writeNumber,
} from './wire-writer.js';

export interface PutFields {
  readonly table: Uint8Array;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly prevKv: boolean;
}

export interface DeleteRangeFields {
  readonly table: Uint8Array;
  readonly key: Uint8Array;
  /** Empty for a single key. */
  readonly rangeEnd: Uint8Array;
  readonly prevKv: boolean;
  readonly count: boolean;
}

const DELETE = Command_CommandType.DELETE;
const TXN = Command_CommandType.TXN;
/** PUT is 0, which proto3 leaves out. */

export function encodePutCommand({ table, key, value, prevKv }: PutFields): Buffer {
  const pair = dataBytes(key) + dataBytes(value);
  const out = Buffer.allocUnsafe(dataBytes(table) + nestedBytes(pair) + flagBytes(prevKv));
  let at = writeData(out, 0, 0x0a, table);
  at = writeNested(out, at, 0x1a, pair);
  at = writeData(out, at, 0x0a, key);
  at = writeData(out, at, 0x22, value);
  return filled(out, writeFlag(out, at, 0x48, prevKv));
}

export function encodeDeleteRangeCommand(fields: DeleteRangeFields): Buffer {
  const { table, key, rangeEnd, prevKv, count } = fields;
  const pair = dataBytes(key);
  const head = dataBytes(table) + numberBytes(DELETE) + nestedBytes(pair);
  const tail = dataBytes(rangeEnd) + flagBytes(prevKv) + flagBytes(count);
  const out = Buffer.allocUnsafe(head + tail);
  let at = writeData(out, 0, 0x0a, table);
  at = writeNumber(out, at, 0x10, DELETE);
  at = writeNested(out, at, 0x1a, pair);
  at = writeData(out, at, 0x0a, key);
  at = writeData(out, at, 0x42, rangeEnd);
  at = writeFlag(out, at, 0x48, prevKv);
  return filled(out, writeFlag(out, at, 0x58, count));
}

export function encodeTxnCommand(fields: TxnFields & { readonly table: Uint8Array }): Buffer {
  const { table } = fields;
  const txn = txnBytes(fields);
  const out = Buffer.allocUnsafe(dataBytes(table) + numberBytes(TXN) + nestedBytes(txn));
  let at = writeData(out, 0, 0x0a, table);
  at = writeNumber(out, at, 0x10, TXN);
  at = writeNested(out, at, 0x3a, txn);
  return filled(out, writeTxn(out, at, fields));
}
