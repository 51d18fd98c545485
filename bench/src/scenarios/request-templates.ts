/**
 * Templates of the requests that are sent, for either protocol.
 *
 * A message is encoded once with keys and values that occur nowhere else, which are then looked for: so
 * the places are right whatever the protocol.
 */
import type { RequestTemplate } from '../load/plan.js';
import type { Pair, Protocol } from '../servers/protocol.js';

const KEY_PREFIX = 'bench/key/';
const KEY_DIGITS = 23;
/** Numbers of keys that mark places; real ones are below. */
const FIRST_MARK = 900_000_000;
export const KEYS_MAX = FIRST_MARK;
const VALUE_MARK = 0xf5;

/** 33 bytes. */
export function keyOf(number: number): Buffer {
  return Buffer.from(KEY_PREFIX + String(number).padStart(KEY_DIGITS, '0'));
}

export function getTemplate(protocol: Protocol, isLinearizable: boolean): RequestTemplate {
  const body = protocol.range({ key: keyOf(FIRST_MARK), isLinearizable });
  return template('get', protocol.rangePath, body, [0]);
}

export function rangeTemplate(protocol: Protocol, pairs: number): RequestTemplate {
  const body = protocol.range({ key: keyOf(FIRST_MARK), rangeEnd: keyOf(FIRST_MARK + pairs) });
  return template('range', protocol.rangePath, body, [0, pairs]);
}

export function putTemplate(protocol: Protocol, valueBytes: number): RequestTemplate {
  const body = protocol.put(markedPair(0, valueBytes));
  return template('put', protocol.putPath, body, [0], valueBytes);
}

/** One transaction that puts `pairs` keys, one after the other. */
export function txnTemplate(
  protocol: Protocol,
  pairs: number,
  valueBytes: number,
): RequestTemplate {
  const adds = Array.from({ length: pairs }, (_, add) => add);
  const body = protocol.putAll(adds.map((add) => markedPair(add, valueBytes)));
  return template('txn', protocol.txnPath, body, adds, valueBytes);
}

function markedPair(add: number, valueBytes: number): Pair {
  return { key: keyOf(FIRST_MARK + add), value: Buffer.alloc(valueBytes, VALUE_MARK) };
}

function template(
  name: string,
  path: string,
  bytes: Uint8Array,
  adds: readonly number[],
  valueBytes = 0,
): RequestTemplate {
  const body = Buffer.from(bytes);
  const keys = adds.map((add) => {
    const key = keyOf(FIRST_MARK + add);
    return { end: place(body, key, 0) + key.length, add };
  });
  const values: { from: number; bytes: number }[] = [];
  if (valueBytes > 0) {
    const value = Buffer.alloc(valueBytes, VALUE_MARK);
    for (let after = 0; values.length < adds.length;) {
      const from = place(body, value, after);
      values.push({ from, bytes: valueBytes });
      after = from + valueBytes;
    }
  }
  return { name, path, body: body.toString('base64'), keys, values, weight: 1 };
}

function place(body: Buffer, what: Buffer, after: number): number {
  const at = body.indexOf(what, after);
  if (at < 0) throw new Error('a request has no place for its key or value');
  return at;
}
