/**
 * From what a layer holds (text of a variable or flag, or a value of YAML, JSON or TOML) to the
 * typed value of a setting.
 *
 * Only the form is judged here: is it a number, a duration, a list. What a well-formed value may be
 * (ranges, addresses, combinations) is said by the decorators of the configuration class.
 */
import { parseDuration } from './duration.js';
import type { Setting, SettingValue } from './setting.js';

export type Conversion =
  | { readonly kind: 'value'; readonly value: SettingValue }
  | { readonly kind: 'refused'; readonly expected: string };

const TRUE_TEXTS = new Set(['1', 't', 'true']);
const FALSE_TEXTS = new Set(['0', 'f', 'false']);

export function convert(setting: Setting, raw: unknown): Conversion {
  switch (setting.kind) {
    case 'string':
    case 'path':
    case 'url':
    case 'host-port':
      return orRefused(scalarText(raw), EXPECTED_TEXT[setting.kind]);
    case 'enum':
      return convertEnum(setting, raw);
    case 'int':
      return orRefused(integer(raw), 'an integer');
    case 'uint64': {
      const value = integer(raw);
      return orRefused(
        value !== undefined && value >= 0 ? value : undefined,
        `an unsigned integer up to ${Number.MAX_SAFE_INTEGER}`,
      );
    }
    case 'bool':
      return orRefused(boolean(raw), 'true or false');
    case 'duration':
      return orRefused(duration(raw), 'a duration such as 50ms or 1m30s');
    case 'list':
      return orRefused(list(raw), 'a list such as a,b,c');
    case 'map':
      return convertMap(setting, raw);
  }
}

const EXPECTED_TEXT = {
  string: 'text',
  path: 'a path',
  url: 'a URL such as http://127.0.0.1:8443',
  'host-port': 'host:port',
} as const;

function orRefused(value: SettingValue | undefined, expected: string): Conversion {
  return value === undefined ? { kind: 'refused', expected } : { kind: 'value', value };
}

/** Files may hold a number or a boolean where text is meant, e.g. a numeric token. */
function scalarText(raw: unknown): string | undefined {
  if (typeof raw === 'string') return raw;
  if (typeof raw === 'bigint' || typeof raw === 'boolean') return String(raw);
  return typeof raw === 'number' && Number.isFinite(raw) ? String(raw) : undefined;
}

function integer(raw: unknown): number | undefined {
  let value: number | undefined;
  if (typeof raw === 'bigint' || typeof raw === 'number') value = Number(raw);
  else if (typeof raw === 'string' && /^[+-]?\d+$/.test(raw.trim())) value = Number(raw);
  return value !== undefined && Number.isSafeInteger(value) ? value : undefined;
}

function boolean(raw: unknown): boolean | undefined {
  if (typeof raw === 'boolean') return raw;
  const text = scalarText(raw)?.trim().toLowerCase() ?? '';
  if (TRUE_TEXTS.has(text)) return true;
  return FALSE_TEXTS.has(text) ? false : undefined;
}

/** A bare number is refused: nobody can tell whether it meant seconds or nanoseconds. */
function duration(raw: unknown): number | undefined {
  const text = scalarText(raw)?.trim();
  return text === undefined ? undefined : parseDuration(text);
}

function list(raw: unknown): readonly string[] | undefined {
  const parts = Array.isArray(raw) ? (raw as unknown[]) : [raw];
  const items: string[] = [];
  for (const part of parts) {
    const text = scalarText(part);
    if (text === undefined) return undefined;
    for (const item of text.split(',')) {
      if (item.trim() !== '') items.push(item.trim());
    }
  }
  return items;
}

function convertEnum(setting: Setting, raw: unknown): Conversion {
  const text = scalarText(raw)?.trim();
  const values = setting.values ?? [];
  const value = values.find((candidate) => candidate.toLowerCase() === text?.toLowerCase());
  // Text that is no listed value goes on: the class decides, and names what it takes.
  return orRefused(value ?? text, `one of ${values.join(', ')}`);
}

function convertMap(setting: Setting, raw: unknown): Conversion {
  const expected =
    setting.numbered === true
      ? 'a map such as 1=a:5012,2=b:5012 or a list such as a:5012,b:5012'
      : 'a map such as a=1,b=2';
  const source = typeof raw === 'string' && raw.trimStart().startsWith('{') ? json(raw) : raw;
  if (isRecord(source)) return orRefused(mapOfRecord(source), expected);
  const items = list(source);
  if (items === undefined) return { kind: 'refused', expected };
  const keyed = items.filter((item) => item.includes('=')).length;
  if (keyed === 0 && setting.numbered === true) {
    const numbered = items.map((item, index) => [String(index + 1), item] as const);
    return { kind: 'value', value: Object.fromEntries(numbered) };
  }
  if (keyed !== items.length) return { kind: 'refused', expected };
  return orRefused(mapOfPairs(items), `${expected}, each key once`);
}

function mapOfPairs(items: readonly string[]): Readonly<Record<string, string>> | undefined {
  const entries = new Map<string, string>();
  for (const item of items) {
    const cut = item.indexOf('=');
    const key = item.slice(0, cut).trim();
    if (key === '' || entries.has(key)) return undefined;
    entries.set(key, item.slice(cut + 1).trim());
  }
  return Object.fromEntries(entries);
}

function mapOfRecord(
  record: Readonly<Record<string, unknown>>,
): Readonly<Record<string, string>> | undefined {
  const entries: [string, string][] = [];
  for (const [key, value] of Object.entries(record)) {
    const text = scalarText(value);
    if (text === undefined) return undefined;
    entries.push([key, text]);
  }
  return Object.fromEntries(entries);
}

function json(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Not JSON after all: handed on as the text it is, and refused with what was expected.
    return text;
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
