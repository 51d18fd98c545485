/**
 * Requests and answers of the client: keys and values as bytes, counts and revisions as numbers.
 */
import { type mvccV1 } from '@flotilla/proto';

/** Text stands for its UTF-8 bytes. */
export type Bytes = Uint8Array | string;

export interface KeyValue {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly createRevision: number;
  readonly modRevision: number;
}

export interface Header {
  /** Raft group of the table. */
  readonly shardId: number;
  /** Node that answered. */
  readonly replicaId: number;
  /** Revision of a write; 0 for reads. */
  readonly revision: number;
  readonly raftTerm: number;
  readonly raftLeaderId: number;
}

export interface RangeRequest {
  readonly table: Bytes;
  readonly key: Bytes;
  /** Exclusive; `\0` for "to the last key". Absent for the single key. */
  readonly rangeEnd?: Bytes;
  readonly limit?: number;
  readonly linearizable?: boolean;
  readonly keysOnly?: boolean;
  readonly countOnly?: boolean;
}

export interface RangeAnswer {
  readonly header: Header;
  readonly kvs: readonly KeyValue[];
  /** Whether the range has keys after this page. */
  readonly more: boolean;
  /** Keys in this page; with `countOnly` keys in the range. */
  readonly count: number;
}

export interface PutRequest {
  readonly table: Bytes;
  readonly key: Bytes;
  readonly value: Bytes;
  readonly prevKv?: boolean;
}

export interface PutAnswer {
  readonly header: Header;
  readonly prevKv: KeyValue | undefined;
}

export interface DeleteRangeRequest {
  readonly table: Bytes;
  readonly key: Bytes;
  readonly rangeEnd?: Bytes;
  readonly prevKv?: boolean;
  readonly count?: boolean;
}

export interface DeleteRangeAnswer {
  readonly header: Header;
  /** Filled when `count` or `prevKv` was asked for. */
  readonly deleted: number;
  readonly prevKvs: readonly KeyValue[];
}

export interface TxnRequest {
  readonly table: Bytes;
  readonly compare: mvccV1.Compare[];
  readonly success: mvccV1.RequestOp[];
  readonly failure: mvccV1.RequestOp[];
}

export interface TxnAnswer {
  readonly header: Header;
  readonly succeeded: boolean;
  readonly responses: readonly mvccV1.ResponseOp[];
}

export interface TableInfo {
  readonly name: string;
  readonly id: string;
}

export interface CallOptions {
  /** How long the call may take, retries included. The client's own default without it. */
  readonly timeoutMs?: number;
}
