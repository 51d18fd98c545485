/**
 * From a checked request to the bytes of its log command.
 *
 * The bytes are made once: the same ones are the log entry, what peers get, and what is applied.
 */
import { mvccV1, type regattaV1 } from '@flotilla/proto';

const { Command, Command_CommandType } = mvccV1;

export function putCommand(request: regattaV1.PutRequest): Uint8Array {
  return Command.encode({
    table: request.table,
    type: Command_CommandType.PUT,
    kv: keyValue(request.key, request.value),
    batch: [],
    prevKvs: request.prevKv,
    sequence: [],
    count: false,
  }).finish();
}

export function deleteRangeCommand(request: regattaV1.DeleteRangeRequest): Uint8Array {
  return Command.encode({
    table: request.table,
    type: Command_CommandType.DELETE,
    kv: keyValue(request.key, NO_BYTES),
    batch: [],
    rangeEnd: request.rangeEnd.length > 0 ? request.rangeEnd : undefined,
    prevKvs: request.prevKv,
    sequence: [],
    count: request.count,
  }).finish();
}

export function txnCommand(request: regattaV1.TxnRequest): Uint8Array {
  const { compare, success, failure } = request;
  return Command.encode({
    table: request.table,
    type: Command_CommandType.TXN,
    kv: undefined,
    batch: [],
    txn: { compare, success, failure },
    prevKvs: false,
    sequence: [],
    count: false,
  }).finish();
}

const NO_BYTES = Buffer.alloc(0);

function keyValue(key: Buffer, value: Buffer): mvccV1.KeyValue {
  return { key, createRevision: 0n, modRevision: 0n, value };
}
