/**
 * The methods of `regatta.v1` as the client calls them: where, how requests and answers become bytes,
 * and which of them only read.
 *
 * Must never call a change a read: reads are sent again where nobody knows how the first try ended.
 */
import { regattaV1 as v1 } from '@flotilla/proto';

/** How a call is made. */
export interface Codec<Request, Answer> {
  readonly path: string;
  readonly request: { encode(message: Request): { finish(): Uint8Array } };
  readonly answer: { decode(bytes: Uint8Array): Answer };
  /** Whether doing it twice is the same as doing it once. */
  readonly isRead: boolean;
}

export const RANGE = {
  path: '/regatta.v1.KV/Range',
  request: v1.RangeRequest,
  answer: v1.RangeResponse,
  isRead: true,
};
export const ITERATE_RANGE = {
  path: '/regatta.v1.KV/IterateRange',
  request: v1.RangeRequest,
  answer: v1.RangeResponse,
  isRead: true,
};
export const PUT = {
  path: '/regatta.v1.KV/Put',
  request: v1.PutRequest,
  answer: v1.PutResponse,
  isRead: false,
};
export const DELETE_RANGE = {
  path: '/regatta.v1.KV/DeleteRange',
  request: v1.DeleteRangeRequest,
  answer: v1.DeleteRangeResponse,
  isRead: false,
};
export const TXN = {
  path: '/regatta.v1.KV/Txn',
  request: v1.TxnRequest,
  answer: v1.TxnResponse,
  isRead: false,
};
export const TABLE_CREATE = {
  path: '/regatta.v1.Tables/Create',
  request: v1.CreateTableRequest,
  answer: v1.CreateTableResponse,
  isRead: false,
};
export const TABLE_DELETE = {
  path: '/regatta.v1.Tables/Delete',
  request: v1.DeleteTableRequest,
  answer: v1.DeleteTableResponse,
  isRead: false,
};
export const TABLE_LIST = {
  path: '/regatta.v1.Tables/List',
  request: v1.ListTablesRequest,
  answer: v1.ListTablesResponse,
  isRead: true,
};
export const MEMBER_LIST = {
  path: '/regatta.v1.Cluster/MemberList',
  request: v1.MemberListRequest,
  answer: v1.MemberListResponse,
  isRead: true,
};
export const STATUS = {
  path: '/regatta.v1.Cluster/Status',
  request: v1.StatusRequest,
  answer: v1.StatusResponse,
  isRead: true,
};
