/** Between the client's plain types and the messages of the wire. */
import { type mvccV1, type regattaV1 } from '@flotilla/proto';
import {
  type Bytes,
  type Header,
  type KeyValue,
  type RangeAnswer,
  type RangeRequest,
} from './types.js';

const NO_BYTES = Buffer.alloc(0);

export function toBytes(value: Bytes | undefined): Buffer {
  if (value === undefined) return NO_BYTES;
  if (typeof value === 'string') return Buffer.from(value);
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

export function toHeader(header: regattaV1.ResponseHeader | undefined): Header {
  return {
    shardId: Number(header?.shardId ?? 0n),
    replicaId: Number(header?.replicaId ?? 0n),
    revision: Number(header?.revision ?? 0n),
    raftTerm: Number(header?.raftTerm ?? 0n),
    raftLeaderId: Number(header?.raftLeaderId ?? 0n),
  };
}

export function toKeyValue(pair: mvccV1.KeyValue): KeyValue {
  return {
    key: pair.key,
    value: pair.value,
    createRevision: Number(pair.createRevision),
    modRevision: Number(pair.modRevision),
  };
}

export function rangeMessage(request: RangeRequest): regattaV1.RangeRequest {
  return {
    table: toBytes(request.table),
    key: toBytes(request.key),
    rangeEnd: toBytes(request.rangeEnd),
    limit: BigInt(request.limit ?? 0),
    linearizable: request.linearizable ?? false,
    keysOnly: request.keysOnly ?? false,
    countOnly: request.countOnly ?? false,
    minModRevision: 0n,
    maxModRevision: 0n,
    minCreateRevision: 0n,
    maxCreateRevision: 0n,
  };
}

export function toRangeAnswer(answer: regattaV1.RangeResponse): RangeAnswer {
  const { header, kvs, more, count } = answer;
  return { header: toHeader(header), kvs: kvs.map(toKeyValue), more, count: Number(count) };
}
