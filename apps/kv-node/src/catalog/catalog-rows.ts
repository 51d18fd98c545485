/**
 * How the catalog lies in its table: keys and values, and the transactions that change them.
 *
 *   sys/table-seq      last used table id, decimal
 *   sys/cluster-id     made up once, when the cluster was founded
 *   sys/cluster        ClusterRow: generation, and whether a follower cluster was promoted
 *   table/<name>       TableRow of a table that is served
 *   shadow/<name>      TableRow of a table that is filled to take the name over
 *   deleting/<id>      TableRow of a deleted table whose data may still be on disk
 *   lease/<table id>   LeaseRow: who may write what a leader cluster sends into this copy
 *   session/<holder>   SessionRow: a gateway that lives, or did when it was last heard of
 *   sys/session-seq    token of the last session, decimal
 *   purpose/<name>     LeaseRow: who does what only one may do at a time; never deleted
 *   sys/purposes       how many of them there are, decimal
 *   node/<id>          NodeRow; stays when the node is removed
 *
 * Pure: in goes what was read, out comes the command to propose. Every change is conditional on the
 * value it was made from.
 */
import { flotillaV1, mvccV1 } from '@flotilla/proto';

export type TableRow = flotillaV1.TableRow;
export type NodeRow = flotillaV1.NodeRow;
export type LeaseRow = flotillaV1.LeaseRow;
export type ClusterRow = flotillaV1.ClusterRow;

/** What a table of a follower cluster is a copy of. */
export interface TableSource {
  /** Its id in the leader cluster; 0 if that is not known. */
  readonly tableId: number;
  readonly epoch: number;
}

/** Raft group and key prefix of the catalog; tables never get an id below `FIRST_TABLE_ID`. */
export const CATALOG_GROUP = 1000;
export const FIRST_TABLE_ID = 10_001;

export const SEQUENCE_KEY = Buffer.from('sys/table-seq');
export const CLUSTER_ID_KEY = Buffer.from('sys/cluster-id');
export const CLUSTER_KEY = Buffer.from('sys/cluster');
export const NODE_PREFIX = Buffer.from('node/');
export const TABLE_PREFIX = Buffer.from('table/');
export const SHADOW_PREFIX = Buffer.from('shadow/');
export const DELETING_PREFIX = Buffer.from('deleting/');
export const LEASE_PREFIX = Buffer.from('lease/');
export const SESSION_PREFIX = Buffer.from('session/');
export const SESSION_SEQUENCE_KEY = Buffer.from('sys/session-seq');
export const PURPOSE_PREFIX = Buffer.from('purpose/');
export const PURPOSE_COUNT_KEY = Buffer.from('sys/purposes');

/** Of a copy that nobody has ever held. */
const FREE_LEASE: LeaseRow = { holder: '', token: 0n, expiresAtMs: 0n, session: 0n };
const CATALOG_NAME = Buffer.from('catalog');
const EQUAL = mvccV1.Compare_CompareResult.EQUAL;
const NO_BYTES = Buffer.alloc(0);

export function tableKey(name: string): Buffer {
  return Buffer.concat([TABLE_PREFIX, Buffer.from(name)]);
}

/** Where the row of a table lies that is served, or that is filled out of sight. */
export function rowKey({
  name,
  shadow,
}: {
  readonly name: string;
  readonly shadow?: unknown;
}): Buffer {
  return shadow === undefined ? tableKey(name) : Buffer.concat([SHADOW_PREFIX, Buffer.from(name)]);
}

export function deletingKey(id: bigint): Buffer {
  return Buffer.concat([DELETING_PREFIX, Buffer.from(id.toString())]);
}

/** First key after all keys with this prefix. */
export function prefixEnd(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix);
  const last = end.length - 1;
  end.writeUInt8(end.readUInt8(last) + 1, last);
  return end;
}

export function nodeKey(id: number): Buffer {
  return Buffer.concat([NODE_PREFIX, Buffer.from(String(id))]);
}

export function leaseKey(tableId: number): Buffer {
  return Buffer.concat([LEASE_PREFIX, Buffer.from(String(tableId))]);
}

export function purposeKey(name: string): Buffer {
  return Buffer.concat([PURPOSE_PREFIX, Buffer.from(name)]);
}

export function encodeLease(row: LeaseRow): Buffer {
  return Buffer.from(flotillaV1.LeaseRow.encode(row).finish());
}

export function encodeCluster(row: ClusterRow): Buffer {
  return Buffer.from(flotillaV1.ClusterRow.encode(row).finish());
}

export function encodeNode(row: NodeRow): Buffer {
  return Buffer.from(flotillaV1.NodeRow.encode(row).finish());
}

export function encodeRow(row: TableRow): Buffer {
  return Buffer.from(flotillaV1.TableRow.encode(row).finish());
}

export function decodeRow(value: Uint8Array): TableRow {
  return flotillaV1.TableRow.decode(value);
}

/** The id a new table gets, given the stored sequence. */
export function nextTableId(sequence: Uint8Array | undefined): bigint {
  return sequence ? BigInt(Buffer.from(sequence).toString()) + 1n : BigInt(FIRST_TABLE_ID);
}

/** The row of a new table. Its id is new in all history, so it can be the epoch too. */
export function newRow(
  name: string,
  id: bigint,
  replicas: readonly number[],
  preferredLeader: number,
  source?: TableSource,
): TableRow {
  return {
    id,
    name,
    epoch: id,
    state: flotillaV1.TableRow_State.ACTIVE,
    replicas: replicas.map(BigInt),
    founders: replicas.map(BigInt),
    movingFrom: [],
    preferredLeader: BigInt(preferredLeader),
    completeAt: 0n,
    ...(source && {
      source: { tableId: BigInt(source.tableId), epoch: BigInt(source.epoch) },
    }),
  };
}

/**
 * Creates `row` if the sequence still is `sequence`. `createdBy` says which branch of the answer
 * means success: an absent sequence can only be stated as the failure of an existence test.
 */
export function createCommand(
  row: TableRow,
  sequence: Uint8Array | undefined,
): { readonly command: Buffer; readonly createdBy: boolean } {
  const puts = [
    put(SEQUENCE_KEY, Buffer.from(row.id.toString())),
    put(rowKey(row), encodeRow(row)),
  ];
  // What is there can be taken together with others in one step, what is not cannot.
  if (row.source) puts.push(put(leaseKey(Number(row.id)), encodeLease(FREE_LEASE)));
  const condition = compare(SEQUENCE_KEY, sequence && Buffer.from(sequence));
  return sequence
    ? { command: txn(condition, puts, []), createdBy: true }
    : { command: txn(condition, [], puts), createdBy: false };
}

/** Replaces the value of a key if it still is `stored`; without `stored`, if there is none. */
export function replaceCommand(
  key: Buffer,
  stored: Buffer | undefined,
  value: Buffer,
): { readonly command: Buffer; readonly doneBy: boolean } {
  return stored
    ? { command: txn(compare(key, stored), [put(key, value)], []), doneBy: true }
    : { command: txn(compare(key, undefined), [], [put(key, value)]), doneBy: false };
}

/** Deletes the table if its row still is `stored`; a note of it stays until its data is gone. */
export function deleteCommand(stored: Buffer): Buffer {
  const row = decodeRow(stored);
  const deleting = { ...row, state: flotillaV1.TableRow_State.DELETING };
  return txn(compare(rowKey(row), stored), [remove(rowKey(row)), ...deletionOf(deleting)], []);
}

function deletionOf(deleting: TableRow): mvccV1.RequestOp[] {
  const note = put(deletingKey(deleting.id), encodeRow(deleting));
  return deleting.source ? [note, remove(leaseKey(Number(deleting.id)))] : [note];
}

/** What a completion is made from, as it stands in the catalog. */
export interface Completion {
  /** Row of the table that was filled. */
  readonly shadow: Buffer;
  /** Row of the table that the name means; undefined if there is none. */
  readonly replaced: Buffer | undefined;
  readonly sequence: Buffer;
  /** Entry of the log of the table that was filled, up to which it was. */
  readonly completeAt: number;
}

/**
 * The filled table is what the name means, and what was there is deleted. No table can come under a name
 * without the sequence being changed, so that it still is the same says that there is none.
 *
 * The epoch of a name grows by one with each completion. The sequence never is below any epoch, and ids
 * of new tables, which are their epochs, lie above it: what is made under the name later on has a higher one.
 *
 * A renewal that was wanted after the filling began is wanted of what was filled: it may hold rows of the old copy.
 */
export function completeCommand({ shadow, replaced, sequence, completeAt }: Completion): {
  readonly command: Buffer;
  readonly row: TableRow;
} {
  const filled = decodeRow(shadow);
  const before = replaced && decodeRow(replaced);
  const lastId = BigInt(sequence.toString());
  const epoch = before ? before.epoch + 1n : lastId + 1n;
  const isStillWanted = before?.renewalWanted === true && filled.shadow?.renews !== true;
  const row = {
    ...{ ...filled, epoch, completeAt: BigInt(completeAt), shadow: undefined },
    renewalWanted: isStillWanted ? true : undefined,
  };
  const conditions = [compare(rowKey(filled), shadow), compare(SEQUENCE_KEY, sequence)];
  const changes = [remove(rowKey(filled)), put(tableKey(row.name), encodeRow(row))];
  if (epoch > lastId) changes.push(put(SEQUENCE_KEY, Buffer.from(epoch.toString())));
  if (before && replaced) {
    conditions.push(compare(tableKey(row.name), replaced));
    changes.push(...deletionOf({ ...before, state: flotillaV1.TableRow_State.DELETING }));
  }
  return { command: txn(conditions, changes, []), row };
}

/** A copy is a table of this cluster's own from here on, if its row still is `stored`. */
export function ownCommand(stored: Buffer): Buffer {
  const row = { ...decodeRow(stored), source: undefined, renewalWanted: undefined };
  return txn(
    compare(tableKey(row.name), stored),
    [put(tableKey(row.name), encodeRow(row)), remove(leaseKey(Number(row.id)))],
    [],
  );
}

/** Removes the note of a deleted table. */
export function finishDeletionCommand(id: bigint): Buffer {
  return command({
    type: mvccV1.Command_CommandType.DELETE,
    kv: { key: deletingKey(id), createRevision: 0n, modRevision: 0n, value: NO_BYTES },
  });
}

/** All keys that a command of the catalog may change. */
export function touchedKeys(data: Uint8Array): Buffer[] {
  const { kv, txn: transaction } = mvccV1.Command.decode(data);
  const ops = [...(transaction?.success ?? []), ...(transaction?.failure ?? [])];
  const keys = ops.flatMap(({ request }) =>
    request === undefined || request.$case === 'requestRange' ? [] : [request.value.key],
  );
  return kv ? [...keys, kv.key] : keys;
}

export function put(key: Buffer, value: Buffer): mvccV1.RequestOp {
  return { request: { $case: 'requestPut', value: { key, value, prevKv: false } } };
}

export function remove(key: Buffer): mvccV1.RequestOp {
  const value = { key, rangeEnd: NO_BYTES, prevKv: false, count: false };
  return { request: { $case: 'requestDeleteRange', value } };
}

/** Without a value the condition is that the key exists. */
export function compare(key: Buffer, value: Buffer | undefined): mvccV1.Compare {
  const targetUnion = value && ({ $case: 'value', value } as const);
  const target = mvccV1.Compare_CompareTarget.VALUE;
  return { result: EQUAL, target, key, targetUnion, rangeEnd: NO_BYTES };
}

export function txn(
  conditions: mvccV1.Compare | mvccV1.Compare[],
  success: mvccV1.RequestOp[],
  failure: mvccV1.RequestOp[],
): Buffer {
  const value = { compare: [conditions].flat(), success, failure };
  return command({ type: mvccV1.Command_CommandType.TXN, txn: value });
}

function command(fields: Partial<mvccV1.Command>): Buffer {
  const whole: mvccV1.Command = {
    table: CATALOG_NAME,
    type: mvccV1.Command_CommandType.DUMMY,
    kv: undefined,
    batch: [],
    prevKvs: false,
    sequence: [],
    count: false,
    ...fields,
  };
  return Buffer.from(mvccV1.Command.encode(whole).finish());
}
