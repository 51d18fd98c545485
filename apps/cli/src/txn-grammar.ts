/**
 * The text of a transaction, as etcdctl has it: compares, an empty line, what to do if all hold, an
 * empty line, what to do otherwise.
 *
 *   value("key") = "text"      = != < > ; and exists("key")
 *   put key value              get key [range-end] [--prefix ...]      del key [range-end] [--prefix]
 *
 * Words may stand in double quotes, with \" \\ \n \t and \xHH inside.
 */
import { mvccV1 } from '@flotilla/proto';
import { keyRange, type RangeFlags } from './bytes.js';
import { UsageError } from './usage-error.js';

export interface TxnText {
  readonly compare: mvccV1.Compare[];
  readonly success: mvccV1.RequestOp[];
  readonly failure: mvccV1.RequestOp[];
}

const RESULTS: Readonly<Record<string, mvccV1.Compare_CompareResult>> = {
  '=': mvccV1.Compare_CompareResult.EQUAL,
  '!=': mvccV1.Compare_CompareResult.NOT_EQUAL,
  '<': mvccV1.Compare_CompareResult.LESS,
  '>': mvccV1.Compare_CompareResult.GREATER,
};
const NO_BYTES = Buffer.alloc(0);
const QUOTED = '"((?:[^"\\\\]|\\\\.)*)"';
const COMPARE = new RegExp(`^(\\w+)\\(${QUOTED}\\)(?:\\s*(=|!=|<|>)\\s*${QUOTED})?$`);
const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  '"': '"',
  '\\': '\\',
};

/** Throws UsageError that names the line. */
export function parseTxn(text: string): TxnText {
  const sections: { line: string; pos: number }[][] = [[]];
  text.split(/\r?\n/).forEach((raw, at) => {
    const line = raw.trim();
    if (line === '') sections.push([]);
    else sections.at(-1)?.push({ line, pos: at + 1 });
  });
  const [compare = [], success = [], failure = [], ...rest] = sections;
  const extra = rest.flat()[0];
  if (extra) throw new UsageError(`line ${extra.pos}: nothing may follow the third part`);
  return {
    compare: compare.map(({ line, pos }) => atLine(pos, () => parseCompare(line))),
    success: success.map(({ line, pos }) => atLine(pos, () => parseOperation(line))),
    failure: failure.map(({ line, pos }) => atLine(pos, () => parseOperation(line))),
  };
}

function atLine<T>(pos: number, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`line ${pos}: ${error.message}`);
    throw error;
  }
}

function parseCompare(line: string): mvccV1.Compare {
  const match = COMPARE.exec(line);
  const [, target = '', key = '', operator, value] = match ?? [];
  if (!match) throw new UsageError(`not a compare: ${line}`);
  const base = {
    target: mvccV1.Compare_CompareTarget.VALUE,
    key: unquote(key),
    rangeEnd: NO_BYTES,
  };
  if (target === 'exists' && operator === undefined) {
    return { ...base, result: mvccV1.Compare_CompareResult.EQUAL, targetUnion: undefined };
  }
  if (['mod', 'create', 'version', 'lease'].includes(target)) {
    throw new UsageError(`regatta.v1 compares values only, not ${target}`);
  }
  const result = RESULTS[operator ?? ''];
  if (target !== 'value' || result === undefined) throw new UsageError(`not a compare: ${line}`);
  return { ...base, result, targetUnion: { $case: 'value', value: unquote(value ?? '') } };
}

function parseOperation(line: string): mvccV1.RequestOp {
  const [name, ...words] = splitWords(line);
  const flags = new Set(words.filter((word) => word.startsWith('--')));
  const [key, second, ...more] = words.filter((word) => !word.startsWith('--'));
  if (key === undefined || more.length > 0) throw new UsageError(`not an operation: ${line}`);
  switch (name) {
    case 'put':
      if (second === undefined || flags.size > 0) throw new UsageError(`not a put: ${line}`);
      return put(Buffer.from(key), Buffer.from(second));
    case 'get':
      return get(key, second, flags);
    case 'del':
      return del(key, second, flags);
    default:
      throw new UsageError(`unknown operation ${name ?? ''}`);
  }
}

function put(key: Buffer, value: Buffer): mvccV1.RequestOp {
  return { request: { $case: 'requestPut', value: { key, value, prevKv: false } } };
}

function get(key: string, end: string | undefined, flags: Set<string>): mvccV1.RequestOp {
  const known = knownFlags(flags, ['--keys-only', '--count-only']);
  const range = keyRange(key, end, known);
  const value = {
    key: range.key,
    rangeEnd: range.rangeEnd ?? NO_BYTES,
    limit: 0n,
    keysOnly: flags.has('--keys-only'),
    countOnly: flags.has('--count-only'),
  };
  return { request: { $case: 'requestRange', value } };
}

function del(key: string, end: string | undefined, flags: Set<string>): mvccV1.RequestOp {
  const range = keyRange(key, end, knownFlags(flags, []));
  const value = {
    key: range.key,
    rangeEnd: range.rangeEnd ?? NO_BYTES,
    prevKv: false,
    count: true,
  };
  return { request: { $case: 'requestDeleteRange', value } };
}

function knownFlags(flags: ReadonlySet<string>, others: readonly string[]): RangeFlags {
  const known = ['--prefix', '--from-key', ...others];
  const unknown = [...flags].find((flag) => !known.includes(flag));
  if (unknown !== undefined) throw new UsageError(`unknown flag ${unknown}`);
  return { prefix: flags.has('--prefix'), fromKey: flags.has('--from-key') };
}

/** Words separated by white space; quoted ones are unescaped. */
function splitWords(line: string): string[] {
  const words = [...line.matchAll(new RegExp(`${QUOTED}|(\\S+)`, 'g'))];
  return words.map(([, quoted, plain]) =>
    quoted === undefined ? (plain ?? '') : unquote(quoted).toString(),
  );
}

function unquote(text: string): Buffer {
  const parts: Buffer[] = [];
  for (const [piece, hex, escaped] of text.matchAll(/\\x([0-9a-fA-F]{2})|\\(.)|[^\\]+/g)) {
    if (hex !== undefined) parts.push(Buffer.from(hex, 'hex'));
    else if (escaped !== undefined) {
      const char = ESCAPES[escaped];
      if (char === undefined) throw new UsageError(`unknown escape ${piece}`);
      parts.push(Buffer.from(char));
    } else parts.push(Buffer.from(piece));
  }
  return Buffer.concat(parts);
}
