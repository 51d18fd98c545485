/**
 * Logs of Jepsen's etcd test: one register, read, written, and changed by compare-and-set.
 *
 * In: lines `INFO  jepsen.util - 3  :invoke  :cas  [1 2]`. Out: operations on a register. A
 * compare-and-set that failed with its values was answered: it found another value. Anything else
 * that failed did not happen; `:info` says that nobody knows. Lines of other loggers and of the
 * nemesis, which is no numbered process, are passed over; a line that only looks like an operation
 * must never be.
 */
import { HistoryError, type Operation } from '../checker/operation.js';
import {
  type RegisterInput,
  type RegisterOutput,
  type RegisterValue,
} from '../models/register-model.js';
import { eachLine, Pairing } from './pairing.js';

const OPERATION = /\bjepsen\.util - (\d+)\s+(.*)$/;
const EVENT = /^:(invoke|ok|fail|info)\s+:(read|write|cas)\s+(.+)$/;
const PAIR = /^\[(\S+) (\S+)\]$/;

export function decodeJepsenLog(text: string): Operation<RegisterInput, RegisterOutput>[] {
  const pairing = new Pairing<RegisterInput, RegisterOutput>({ kind: 'unknown' });
  eachLine(text, (line) => {
    const [, process, rest] = OPERATION.exec(line) ?? [];
    if (process === undefined || rest === undefined) return;
    const [, type, name, value] = EVENT.exec(rest) ?? [];
    if (type === undefined || name === undefined || value === undefined) {
      throw new HistoryError(`not an operation: "${rest}"`);
    }
    const client = Number(process);
    if (type === 'invoke') pairing.call(client, inputOf(name, value));
    else if (type === 'ok') pairing.ok(client, () => outputOf(name, value));
    else if (type === 'fail') failed(pairing, client, name, value);
    else if (name === 'read') pairing.dropped(client);
    else pairing.lost(client);
  });
  return pairing.operations();
}

function failed(
  pairing: Pairing<RegisterInput, RegisterOutput>,
  client: number,
  name: string,
  value: string,
): void {
  if (name === 'cas' && PAIR.test(value)) pairing.ok(client, () => ({ kind: 'differed' }));
  else pairing.dropped(client);
}

function inputOf(name: string, value: string): RegisterInput {
  if (name === 'read') return { kind: 'read' };
  if (name === 'write') return { kind: 'write', value: valueOf(value) };
  const [, expected, wanted] = PAIR.exec(value) ?? [];
  if (expected === undefined || wanted === undefined) {
    throw new HistoryError(`not two values: "${value}"`);
  }
  return { kind: 'cas', expected: valueOf(expected), value: valueOf(wanted) };
}

function outputOf(name: string, value: string): RegisterOutput {
  return name === 'read' ? { kind: 'read', value: valueOf(value) } : { kind: 'done' };
}

function valueOf(text: string): RegisterValue {
  if (text === 'nil') return null;
  if (!/^-?\d+$/.test(text)) throw new HistoryError(`not a value: "${text}"`);
  return Number(text);
}
