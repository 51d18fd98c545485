/**
 * Short ways to write commands and read answers in tests.
 *
 * In: strings (one byte per character) and partial commands. Out: encoded log entries, and rows as
 * strings. Not part of the public face.
 */
import { mvccV1 } from '@flotilla/proto';
import { type LogEntry, type TableRow } from '../table/table-types.js';

export const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
export const text = (data: Uint8Array): string => Buffer.from(data).toString('latin1');

export const FROM_KEY = bytes('\0');

const BLANK: mvccV1.Command = {
  table: Buffer.from('t'),
  type: mvccV1.Command_CommandType.PUT,
  kv: undefined,
  batch: [],
  prevKvs: false,
  sequence: [],
  count: false,
};

const pair = (key: string, value = ''): mvccV1.KeyValue => ({
  key: bytes(key),
  value: bytes(value),
  createRevision: 0n,
  modRevision: 0n,
});

type Extras = Partial<mvccV1.Command>;
const type = mvccV1.Command_CommandType;

export const put = (key: string, value: string, extras: Extras = {}): mvccV1.Command => ({
  ...BLANK,
  kv: pair(key, value),
  ...extras,
});

/** Deletes a key, or with `rangeEnd` a range; an empty range end is sent as present. */
export const del = (key: string, rangeEnd?: string, extras: Extras = {}): mvccV1.Command => ({
  ...BLANK,
  type: type.DELETE,
  kv: pair(key),
  rangeEnd: rangeEnd === undefined ? undefined : bytes(rangeEnd),
  ...extras,
});

export const dummy = (extras: Extras = {}): mvccV1.Command => ({
  ...BLANK,
  type: type.DUMMY,
  ...extras,
});

export const putBatch = (pairs: [string, string][], extras: Extras = {}): mvccV1.Command => ({
  ...BLANK,
  type: type.PUT_BATCH,
  batch: pairs.map(([key, value]) => pair(key, value)),
  ...extras,
});

export const deleteBatch = (keys: string[], extras: Extras = {}): mvccV1.Command => ({
  ...BLANK,
  type: type.DELETE_BATCH,
  batch: keys.map((key) => pair(key)),
  ...extras,
});

export const sequence = (members: mvccV1.Command[], extras: Extras = {}): mvccV1.Command => ({
  ...BLANK,
  type: type.SEQUENCE,
  sequence: members,
  ...extras,
});

export const txn = (parts: Partial<mvccV1.Txn>, extras: Extras = {}): mvccV1.Command => ({
  ...BLANK,
  type: type.TXN,
  txn: { compare: [], success: [], failure: [], ...parts },
  ...extras,
});

/** Rows as they are, and commands that go on from them; batch 0 only takes the table over. */
export const fill = (
  token: number,
  batch: number,
  rows: readonly TableRow[] = [],
  note = '',
  commands: mvccV1.Command[] = [],
): mvccV1.Command =>
  sequence([], {
    fill: {
      token: BigInt(token),
      batch: BigInt(batch),
      rows: rows.map(({ key, value, createRevision, modRevision, version }) => ({
        key,
        value,
        createRevision: BigInt(createRevision),
        modRevision: BigInt(modRevision),
        version: BigInt(version),
      })),
      note: bytes(note),
      commands,
    },
  });

/** The end of a filling, or with no token the adoption of a table that serves. */
export const adopt = (
  token: number | undefined,
  revision: number,
  sourceEpoch?: number,
  sourceCheck?: bigint,
): mvccV1.Command =>
  sequence([], {
    adoption: {
      token: token === undefined ? undefined : BigInt(token),
      revision: BigInt(revision),
      sourceEpoch: sourceEpoch === undefined ? undefined : BigInt(sourceEpoch),
      sourceCheck,
    },
  });

export const opPut = (key: string, value: string, prevKv = false): mvccV1.RequestOp => ({
  request: { $case: 'requestPut', value: { key: bytes(key), value: bytes(value), prevKv } },
});

export const opDelete = (
  key: string,
  rangeEnd = '',
  flags: { prevKv?: boolean; count?: boolean } = {},
): mvccV1.RequestOp => ({
  request: {
    $case: 'requestDeleteRange',
    value: {
      key: bytes(key),
      rangeEnd: bytes(rangeEnd),
      prevKv: flags.prevKv ?? false,
      count: flags.count ?? false,
    },
  },
});

export const opRange = (
  key: string,
  rangeEnd = '',
  flags: { limit?: number; keysOnly?: boolean; countOnly?: boolean } = {},
): mvccV1.RequestOp => ({
  request: {
    $case: 'requestRange',
    value: {
      key: bytes(key),
      rangeEnd: bytes(rangeEnd),
      limit: BigInt(flags.limit ?? 0),
      keysOnly: flags.keysOnly ?? false,
      countOnly: flags.countOnly ?? false,
    },
  },
});

export type OperatorName = 'EQUAL' | 'GREATER' | 'LESS' | 'NOT_EQUAL';

/** A wire compare; without a value it asks for existence. */
export const compare = (
  key: string,
  operator: OperatorName = 'EQUAL',
  value?: string,
  rangeEnd = '',
): mvccV1.Compare => ({
  result: mvccV1.Compare_CompareResult[operator],
  target: mvccV1.Compare_CompareTarget.VALUE,
  key: bytes(key),
  targetUnion: value === undefined ? undefined : { $case: 'value', value: bytes(value) },
  rangeEnd: bytes(rangeEnd),
});

export const entry = (index: number, command?: mvccV1.Command): LogEntry => ({
  index,
  data: command === undefined ? new Uint8Array() : mvccV1.Command.encode(command).finish(),
});

/** Commands as the entries that follow `after`. */
export const entries = (commands: mvccV1.Command[], after = 0): LogEntry[] =>
  commands.map((command, at) => entry(after + at + 1, command));

export const shown = (row: TableRow | undefined): string | undefined =>
  row === undefined ? undefined : `${text(row.key)}=${text(row.value)}`;

/** `key=value@create/mod/version` */
export const shownFully = (row: TableRow): string =>
  `${shown(row) ?? ''}@${row.createRevision}/${row.modRevision}/${row.version}`;

/** What a response says, as plain data: a put's previous pair, a delete's count and pairs, a page. */
export function shownResponse({ response }: mvccV1.ResponseOp): unknown {
  const pairs = (kvs: mvccV1.KeyValue[]): string[] =>
    kvs.map((kv) => `${text(kv.key)}=${text(kv.value)}`);
  switch (response?.$case) {
    case 'responsePut':
      return { put: response.value.prevKv === undefined ? [] : pairs([response.value.prevKv]) };
    case 'responseDeleteRange':
      return { deleted: Number(response.value.deleted), prev: pairs(response.value.prevKvs) };
    case 'responseRange': {
      const { kvs, more, count } = response.value;
      return { kvs: pairs(kvs), more, count: Number(count) };
    }
    default:
      return 'none';
  }
}
