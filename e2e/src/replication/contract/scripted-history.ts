/**
 * Writes of every kind that the KV API has, and the command that each one has to become in the log.
 *
 * In: nothing. Out: requests as bytes made by hand, and what the contract says a follower gets for them.
 */
import { type Command, COMMAND, type Compare, type Operation } from './contract-messages.js';
import { message } from './wire.js';

export interface ScriptedWrite {
  readonly what: string;
  readonly method: 'Put' | 'DeleteRange' | 'Txn';
  readonly request: (table: string) => Buffer;
  readonly command: Pick<Command, 'type'> & Partial<Command>;
}

const NOTHING = Buffer.alloc(0);
const OPEN_END = Buffer.from([0]);
const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
const RESULT = { equal: 0, greater: 1, less: 2, notEqual: 3 } as const;

function put(what: string, key: string | Buffer, value: string | Buffer): ScriptedWrite {
  const kv = { key: Buffer.from(key), value: Buffer.from(value) };
  const content = kv.value.length > 0 ? kv.value : undefined;
  const request = (table: string) => message([1, table], [2, kv.key], [3, content]);
  return { what, method: 'Put', request, command: { type: COMMAND.put, kv } };
}

function remove(what: string, key: string | Buffer, rangeEnd?: string | Buffer): ScriptedWrite {
  const kv = { key: Buffer.from(key), value: NOTHING };
  const end = rangeEnd === undefined ? undefined : Buffer.from(rangeEnd);
  const request = (table: string) => message([1, table], [2, kv.key], [3, end], [4, 1], [5, 1]);
  const command = { type: COMMAND.delete, kv, rangeEnd: end };
  return { what, method: 'DeleteRange', request, command };
}

function txn(
  what: string,
  compare: readonly Compare[],
  success: readonly Operation[],
  failure: readonly Operation[],
): ScriptedWrite {
  const request = (table: string) =>
    message(
      [1, table],
      ...compare.map((each) => [2, compareBytes(each)] as const),
      ...success.map((each) => [3, operationBytes(each)] as const),
      ...failure.map((each) => [4, operationBytes(each)] as const),
    );
  const command = { type: COMMAND.txn, txn: { compare, success, failure } };
  return { what, method: 'Txn', request, command };
}

function compareBytes({ result, key, value, rangeEnd }: Compare): Buffer {
  const end = rangeEnd.length > 0 ? rangeEnd : undefined;
  return message([1, result || undefined], [3, key], [4, value], [64, end]);
}

function operationBytes(operation: Operation): Buffer {
  if (operation.kind === 'put')
    return message([2, message([1, operation.key], [2, operation.value])]);
  if (operation.kind === 'range') return message([1, message([1, 'a'])]);
  const end = operation.rangeEnd.length > 0 ? operation.rangeEnd : undefined;
  return message([3, message([1, operation.key], [2, end])]);
}

const b = (text: string): Buffer => Buffer.from(text);
const is = (key: string, result: number, value: string): Compare => ({
  key: b(key),
  result,
  value: b(value),
  rangeEnd: NOTHING,
});
const exists = (key: string): Compare => ({
  key: b(key),
  result: RESULT.equal,
  value: undefined,
  rangeEnd: NOTHING,
});
const puts = (key: string, value: string): Operation => ({
  kind: 'put',
  key: b(key),
  value: b(value),
});
const deletes = (key: string, rangeEnd: string | Buffer = ''): Operation => ({
  kind: 'delete',
  key: b(key),
  rangeEnd: Buffer.from(rangeEnd),
});

export const SCRIPT: readonly ScriptedWrite[] = [
  put('a pair', 'a', '1'),
  put('another one', 'b', '2'),
  put('the first one again', 'a', '3'),
  put('a value without bytes', 'c', ''),
  put('every byte in key and value', ALL_BYTES, ALL_BYTES),
  put('a value that is a zero byte', 'zero', OPEN_END),
  remove('one key', 'b'),
  remove('one key that is not there', 'b'),
  put('more to delete', 'd', '4'),
  put('and more', 'e', '5'),
  put('and what stays', 'f', '6'),
  remove('a range', 'c', 'f'),
  txn(
    'whose compares hold',
    [is('a', RESULT.equal, '3'), exists('f')],
    [puts('g', '7'), deletes('f')],
    [puts('h', 'wrong')],
  ),
  txn('whose compare fails', [is('a', RESULT.equal, '0')], [puts('i', 'wrong')], [puts('i', '8')]),
  txn(
    'with a key that is missing',
    [is('none', RESULT.notEqual, 'x')],
    [puts('j', 'wrong')],
    [puts('j', '9')],
  ),
  txn(
    'with an order',
    [is('a', RESULT.greater, '2'), is('a', RESULT.less, '4')],
    [puts('k', '10')],
    [],
  ),
  txn(
    'with a range in its compare',
    [{ key: b('i'), rangeEnd: b('k'), result: RESULT.notEqual, value: b('0') }],
    [{ kind: 'range' }, puts('l', '11'), puts('l', '12'), deletes('j'), puts('m', '13')],
    [deletes('a')],
  ),
  txn('without compares', [], [deletes('l', 'm'), puts('n', '14')], [puts('o', 'wrong')]),
  txn('without operations in the branch that is taken', [exists('none')], [puts('p', 'wrong')], []),
  remove('from a key to the end', 'm', OPEN_END),
  put('something after that', 'q', '15'),
  txn('that deletes everything', [], [deletes('\0', OPEN_END), puts('r', '16')], []),
  put('the last of the script', 's', '17'),
];
