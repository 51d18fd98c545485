/**
 * JSON lines: `{"key": "text", "value": "text"}`; bytes that are no text stand as base64 under
 * `key_base64` and `value_base64`.
 */
import { isUtf8 } from 'node:buffer';

const FIELDS = new Set(['key', 'value', 'key_base64', 'value_base64']);
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

export interface Pair {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** Throws an Error that says what is wrong with the line. */
export function parseJsonLine(line: Buffer): Pair {
  if (!isUtf8(line)) throw new Error('not UTF-8');
  const parsed: unknown = JSON.parse(line.toString());
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new Error('expected an object with key and value');
  }
  const unknown = Object.keys(parsed).find((field) => !FIELDS.has(field));
  if (unknown !== undefined) throw new Error(`unknown field ${JSON.stringify(unknown)}`);
  const fields = parsed as Readonly<Record<string, unknown>>;
  return { key: readField(fields, 'key'), value: readField(fields, 'value') };
}

function readField(fields: Readonly<Record<string, unknown>>, name: 'key' | 'value'): Buffer {
  const text = fields[name];
  const base64 = fields[`${name}_base64`];
  if (text !== undefined && base64 !== undefined) {
    throw new Error(`${name} and ${name}_base64 are both set`);
  }
  if (typeof text === 'string') return Buffer.from(text);
  if (typeof base64 === 'string' && BASE64.test(base64)) return Buffer.from(base64, 'base64');
  if (base64 !== undefined) throw new Error(`${name}_base64 is not base64`);
  throw new Error(text === undefined ? `${name} is missing` : `${name} is not a string`);
}

export function formatJsonLine({ key, value }: Pair): string {
  const keyField = isUtf8(key) ? { key: key.toString() } : { key_base64: key.toString('base64') };
  const valueField = isUtf8(value)
    ? { value: value.toString() }
    : { value_base64: value.toString('base64') };
  return `${JSON.stringify({ ...keyField, ...valueField })}\n`;
}
