/**
 * One operation of a client against the cluster, in the words of the history.
 *
 * A target is one key, or two keys that are only ever written together and so are one register: a pair
 * whose halves differ was torn. In: what is asked, as the checker's model has it. Out: what was found,
 * and at which revision. Must never hide an answer that cannot be: it throws `WrongAnswerError`.
 */
import { type FlotillaClient, type KeyValue } from '@flotilla/client';
import { type KvInput } from '@flotilla/linearizability';
import { mvccV1 } from '@flotilla/proto';
import { readValue, writeValue } from './values.js';

export interface Target {
  readonly table: string;
  /** As histories name it. */
  readonly name: string;
  /** One key, or both keys of a pair in their order. */
  readonly keys: readonly string[];
}

/** Fields of a history's entry that an answer gives. */
export interface Answered {
  readonly found?: string | null;
  readonly revision?: number;
  readonly succeeded?: boolean;
}

interface Found {
  readonly value: string | null;
  readonly revision: number | undefined;
}

/** The server said something that no order of operations explains. */
export class WrongAnswerError extends Error {
  readonly code = 'WRONG_ANSWER';
  readonly retryable = false;
}

export interface PerformOptions {
  readonly timeoutMs: number;
  /** Whether a put asks for what was there before. */
  readonly withFound: boolean;
}

export async function perform(
  client: FlotillaClient,
  target: Target,
  input: KvInput,
  options: PerformOptions,
): Promise<Answered> {
  switch (input.kind) {
    case 'get':
      return get(client, target, options);
    case 'put':
      return put(client, target, input.value, options);
    case 'delete':
      return remove(client, target, options);
    case 'txn-cas':
      return compareAndSet(client, target, input, options);
  }
}

async function get(
  client: FlotillaClient,
  target: Target,
  options: PerformOptions,
): Promise<Answered> {
  const [key = '', last] = target.keys;
  const range = { table: target.table, key, ...(last && { rangeEnd: `${last}\0` }) };
  const { kvs } = await client.range({ ...range, linearizable: true }, options);
  const { value, revision } = foundIn(target, kvs);
  return { found: value, ...(revision !== undefined && { revision }) };
}

async function put(
  client: FlotillaClient,
  target: Target,
  value: string,
  options: PerformOptions,
): Promise<Answered> {
  const { table, keys } = target;
  if (keys.length > 1) {
    const success = keys.map((key) => putOp(key, value, options.withFound));
    const answer = await client.txn({ table, compare: [], success, failure: [] }, options);
    const before = answer.responses.flatMap(pairsOf);
    return {
      ...(options.withFound && { found: foundIn(target, before).value }),
      revision: answer.header.revision,
    };
  }
  const [key = ''] = keys;
  const request = { table, key, value: writeValue(value), prevKv: options.withFound };
  const { header, prevKv } = await client.put(request, options);
  return {
    ...(options.withFound && { found: foundIn(target, prevKv ? [prevKv] : []).value }),
    revision: header.revision,
  };
}

async function remove(
  client: FlotillaClient,
  target: Target,
  options: PerformOptions,
): Promise<Answered> {
  const [key = '', last] = target.keys;
  const range = { table: target.table, key, ...(last && { rangeEnd: `${last}\0` }) };
  const { header, deleted, prevKvs } = await client.deleteRange(
    { ...range, prevKv: true },
    options,
  );
  const { value } = foundIn(target, prevKvs);
  if (deleted !== prevKvs.length) {
    throw new WrongAnswerError(`${target.name}: deleted ${deleted}, showed ${prevKvs.length}`);
  }
  return { found: value, revision: header.revision };
}

async function compareAndSet(
  client: FlotillaClient,
  target: Target,
  input: Extract<KvInput, { kind: 'txn-cas' }>,
  options: PerformOptions,
): Promise<Answered> {
  const { table, keys } = target;
  const { expected, value } = input;
  const change = keys.map((key) => (value === null ? deleteOp(key) : putOp(key, value, true)));
  const look = keys.map(rangeOp);
  const compare = keys.map((key) => compareWith(key, expected));
  // There is no compare with an absent key: it is asked whether there is one, the other way round.
  const [success, failure] = expected === null ? [look, change] : [change, look];
  const answer = await client.txn({ table, compare, success, failure }, options);
  const { value: found } = foundIn(target, answer.responses.flatMap(pairsOf));
  const succeeded = answer.succeeded === (expected !== null);
  return { found, revision: answer.header.revision, succeeded };
}

/** What the rows of a target say together. */
function foundIn(
  target: Target,
  kvs: readonly Pick<KeyValue, 'key' | 'value' | 'modRevision'>[],
): Found {
  const [first] = kvs;
  if (!first) return { value: null, revision: undefined };
  const shown = kvs.map(({ key, value, modRevision }) => ({
    key: key.toString(),
    value: readValue(value),
    modRevision,
  }));
  const isWhole =
    shown.length === target.keys.length &&
    shown.every(
      ({ key, value, modRevision }, at) =>
        key === target.keys[at] &&
        value !== undefined &&
        value === shown[0]?.value &&
        modRevision === first.modRevision,
    );
  const value = shown[0]?.value;
  if (!isWhole || value === undefined) {
    throw new WrongAnswerError(`${target.table}/${target.name}: torn: ${JSON.stringify(shown)}`);
  }
  return { value, revision: first.modRevision };
}

function pairsOf({
  response,
}: mvccV1.ResponseOp): Pick<KeyValue, 'key' | 'value' | 'modRevision'>[] {
  const rows = (kvs: readonly mvccV1.KeyValue[]) =>
    kvs.map(({ key, value, modRevision }) => ({ key, value, modRevision: Number(modRevision) }));
  switch (response?.$case) {
    case 'responseRange':
      return rows(response.value.kvs);
    case 'responsePut':
      return rows(response.value.prevKv ? [response.value.prevKv] : []);
    case 'responseDeleteRange':
      return rows(response.value.prevKvs);
    case undefined:
      return [];
  }
}

const NOTHING = Buffer.alloc(0);

function putOp(key: string, value: string, prevKv: boolean): mvccV1.RequestOp {
  const op = { key: Buffer.from(key), value: writeValue(value), prevKv };
  return { request: { $case: 'requestPut', value: op } };
}

function deleteOp(key: string): mvccV1.RequestOp {
  const op = { key: Buffer.from(key), rangeEnd: NOTHING, prevKv: true, count: true };
  return { request: { $case: 'requestDeleteRange', value: op } };
}

function rangeOp(key: string): mvccV1.RequestOp {
  const op = {
    key: Buffer.from(key),
    rangeEnd: NOTHING,
    limit: 0n,
    keysOnly: false,
    countOnly: false,
  };
  return { request: { $case: 'requestRange', value: op } };
}

/** Without a value: whether there is such a key. */
function compareWith(key: string, expected: string | null): mvccV1.Compare {
  return {
    result: mvccV1.Compare_CompareResult.EQUAL,
    target: mvccV1.Compare_CompareTarget.VALUE,
    key: Buffer.from(key),
    targetUnion: expected === null ? undefined : { $case: 'value', value: writeValue(expected) },
    rangeEnd: NOTHING,
  };
}
