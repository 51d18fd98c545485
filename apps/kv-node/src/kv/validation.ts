/**
 * The door of the KV service: what a request must look like before anything is done with it.
 *
 * In: decoded requests. Out: nothing, or a thrown GrpcStatusError whose code and text are those
 * that clients of Regatta know. The order of the checks is part of the contract.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type mvccV1, type regattaV1 } from '@flotilla/proto';
import { KEY_BYTES_MAX, TXN_OPS_MAX, VALUE_BYTES_MAX } from './limits.js';
import { invalid } from './errors.js';

type RequestOp = mvccV1.RequestOp;

/** Fields of a range request that the contract names and no server implements. */
const UNIMPLEMENTED_FILTERS = [
  ['minModRevision', 'min_mod_revision'],
  ['maxModRevision', 'max_mod_revision'],
  ['minCreateRevision', 'min_create_revision'],
  ['maxCreateRevision', 'max_create_revision'],
] as const;

/** Range. An empty key stands for the first key where a range is asked for. */
export function checkRange(request: regattaV1.RangeRequest): void {
  checkRangeFields(request);
  if (request.key.length === 0 && request.rangeEnd.length === 0) throw invalid('key must be set');
}

export function checkIterateRange(request: regattaV1.RangeRequest): void {
  checkRangeFields(request);
  if (request.key.length === 0) throw invalid('key must be set');
}

function checkRangeFields(request: regattaV1.RangeRequest): void {
  if (request.limit < 0n) throw invalid('limit must be a positive number');
  if (request.keysOnly && request.countOnly) {
    throw invalid('keys_only and count_only must not be set at the same time');
  }
  for (const [field, name] of UNIMPLEMENTED_FILTERS) {
    if (request[field] > 0n) {
      throw new GrpcStatusError(status.UNIMPLEMENTED, `${name} not implemented`);
    }
  }
  if (request.table.length === 0) throw invalid('table must be set');
}

export function checkPut(request: regattaV1.PutRequest): void {
  if (request.table.length === 0) throw invalid('table must be set');
  if (request.key.length === 0) throw invalid('key must be set');
}

export function checkDeleteRange(request: regattaV1.DeleteRangeRequest): void {
  if (request.table.length === 0) throw invalid('table must be set');
  if (request.key.length === 0) throw invalid('key must be set');
}

export function checkTxn(request: regattaV1.TxnRequest): void {
  if (request.table.length === 0) throw invalid('table must be set');
  const operations = request.compare.length + request.success.length + request.failure.length;
  if (operations > TXN_OPS_MAX) {
    throw invalid(`compare, success and failure have ${operations} items, max ${TXN_OPS_MAX}`);
  }
  request.success.forEach((op, at) => requireOp(op, 'success', at));
  request.failure.forEach((op, at) => requireOp(op, 'failure', at));
  request.compare.forEach((compare, at) => {
    if (compare.target !== 0) throw invalid(`compare[${at}].target is not a known target`);
    if (compare.result < 0 || compare.result > 3) {
      throw invalid(`compare[${at}].result is not a known result`);
    }
  });
}

function requireOp(op: RequestOp, branch: string, at: number): void {
  if (!op.request) throw invalid(`${branch}[${at}].request must be set`);
  if (op.request.$case === 'requestRange') {
    const { limit, keysOnly, countOnly } = op.request.value;
    if (limit < 0n) throw invalid('limit must be a positive number');
    if (keysOnly && countOnly) {
      throw invalid('keys_only and count_only must not be set at the same time');
    }
  }
}

/** Sizes, which are looked at only once the table is known to exist. */
export function checkKeySizes(request: { key: Uint8Array; rangeEnd: Uint8Array }): void {
  checkKeyBytes(request.key);
  checkKeyBytes(request.rangeEnd);
}

export function checkPutSizes(request: { key: Uint8Array; value: Uint8Array }): void {
  checkKeyBytes(request.key);
  if (request.value.length > VALUE_BYTES_MAX) {
    throw tooLong('value length exceeded max allowed value');
  }
}

export function checkTxnSizes(request: regattaV1.TxnRequest): void {
  request.compare.forEach(checkKeySizes);
  for (const { request: op } of [...request.success, ...request.failure]) {
    if (op?.$case === 'requestPut') checkPutSizes(op.value);
    else if (op) checkKeySizes(op.value);
  }
}

function checkKeyBytes(key: Uint8Array): void {
  if (key.length > KEY_BYTES_MAX) throw tooLong('key length exceeded max allowed value');
}

function tooLong(message: string): GrpcStatusError {
  return new GrpcStatusError(status.FAILED_PRECONDITION, message);
}
