/**
 * `etcdserverpb` for benchmarks: the few messages that are sent, with the field numbers of etcd's
 * rpc.proto and kv.proto.
 */
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import type { Pair, Protocol } from './protocol.js';

const RANGE_REQUEST = { key: 1, rangeEnd: 2, serializable: 7, countOnly: 9 } as const;
const PUT_REQUEST = { key: 1, value: 2 } as const;
const TXN_REQUEST = { success: 2 } as const;
const REQUEST_OP = { put: 2 } as const;
const RANGE_RESPONSE = { kvs: 2, count: 4 } as const;
const PUT_RESPONSE = { header: 1 } as const;
const HEADER = { memberId: 2, revision: 3 } as const;
const KEY_VALUE = { value: 5 } as const;
const STATUS_RESPONSE = { header: 1, version: 2, leader: 4 } as const;

type FieldReaders = Readonly<Record<number, (reader: BinaryReader) => void>>;

function readFields(bytes: Uint8Array, fields: FieldReaders): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const read = fields[number];
    if (read) read(reader);
    else reader.skip(wireType);
  }
}

function tagged(writer: BinaryWriter, number: number, bytes: Uint8Array): BinaryWriter {
  return bytes.length === 0 ? writer : writer.tag(number, 2).bytes(bytes);
}

function flag(writer: BinaryWriter, number: number, value: boolean): BinaryWriter {
  return value ? writer.tag(number, 0).bool(true) : writer;
}

function putRequest({ key, value }: Pair): Uint8Array {
  const writer = tagged(new BinaryWriter(), PUT_REQUEST.key, key);
  return tagged(writer, PUT_REQUEST.value, value).finish();
}

export const etcdProtocol: Protocol = {
  rangePath: '/etcdserverpb.KV/Range',
  putPath: '/etcdserverpb.KV/Put',
  txnPath: '/etcdserverpb.KV/Txn',

  range({ key, rangeEnd, isLinearizable, countOnly }) {
    const writer = tagged(new BinaryWriter(), RANGE_REQUEST.key, key);
    tagged(writer, RANGE_REQUEST.rangeEnd, rangeEnd ?? new Uint8Array());
    flag(writer, RANGE_REQUEST.serializable, !(isLinearizable ?? false));
    return flag(writer, RANGE_REQUEST.countOnly, countOnly ?? false).finish();
  },

  put: putRequest,

  putAll(pairs) {
    const writer = new BinaryWriter();
    for (const pair of pairs) {
      const operation = tagged(new BinaryWriter(), REQUEST_OP.put, putRequest(pair)).finish();
      tagged(writer, TXN_REQUEST.success, operation);
    }
    return writer.finish();
  },

  readRange(answer) {
    const values: Uint8Array[] = [];
    let count = 0;
    readFields(answer, {
      [RANGE_RESPONSE.kvs]: (reader) => {
        const pair = reader.bytes();
        readFields(pair, { [KEY_VALUE.value]: (inner) => values.push(inner.bytes()) });
      },
      [RANGE_RESPONSE.count]: (reader) => (count = Number(reader.int64())),
    });
    return { count, values };
  },

  readRevision(answer) {
    let revision = 0;
    readFields(answer, {
      [PUT_RESPONSE.header]: (reader) => {
        const header = reader.bytes();
        readFields(header, { [HEADER.revision]: (inner) => (revision = Number(inner.int64())) });
      },
    });
    return revision;
  },
};

export const STATUS_PATH = '/etcdserverpb.Maintenance/Status';

export interface EtcdStatus {
  readonly version: string;
  /** Whether the member that answers leads. */
  readonly leads: boolean;
}

export function readStatus(answer: Uint8Array): EtcdStatus {
  let version = '';
  let member = '';
  let leader = '0';
  readFields(answer, {
    [STATUS_RESPONSE.header]: (reader) => {
      const header = reader.bytes();
      readFields(header, { [HEADER.memberId]: (inner) => (member = String(inner.uint64())) });
    },
    [STATUS_RESPONSE.version]: (reader) => (version = reader.string()),
    [STATUS_RESPONSE.leader]: (reader) => (leader = String(reader.uint64())),
  });
  return { version, leads: leader !== '0' && leader === member };
}
