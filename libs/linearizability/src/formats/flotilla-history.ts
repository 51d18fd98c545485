/**
 * Histories that this project records of itself: JSON lines, described in docs/formats/history.md.
 *
 * Writing: the header, then one line an operation, each as soon as it ended. Reading: the expected
 * verdict, and operations for `kvModel` with their key. What certainly did not happen is left out,
 * and so are gets of unknown outcome, which tell nothing. A line that breaks the format must never
 * be passed over: a history with a hole in it proves nothing.
 */
import { HistoryError, type Operation } from '../checker/operation.js';
import { type KvInput, type KvOutput } from '../models/kv-model.js';
import { eachLine } from './pairing.js';

export const HISTORY_FORMAT = 'flotilla-history-1';
/** A history is judged in memory. */
export const HISTORY_OPERATIONS_MAX = 2_000_000;

export type ExpectedVerdict = 'linearizable' | 'not-linearizable';

/** One operation as it was asked and answered; one line of the file. */
export type HistoryEntry = {
  readonly client: number;
  readonly table: string;
  readonly key: string;
  readonly outcome: 'ok' | 'fail' | 'unknown';
  /** The value before the operation, null if absent; a get with outcome ok has it. */
  readonly found?: string | null;
  /** Of a get: of the found pair. Else: of the answer. */
  readonly revision?: number;
  /** Of a txn-cas with outcome ok. */
  readonly succeeded?: boolean;
  /** Milliseconds of one clock for all clients. */
  readonly call: number;
  readonly return: number | null;
} & KvInput;

export type KeyedKvInput = KvInput & { readonly table: string; readonly key: string };

export interface FlotillaHistory {
  readonly expected: ExpectedVerdict;
  readonly operations: Operation<KeyedKvInput, KvOutput>[];
}

export function encodeHistoryHeader(expected: ExpectedVerdict = 'linearizable'): string {
  return `${JSON.stringify({ format: HISTORY_FORMAT, expected })}\n`;
}

export function encodeHistoryEntry(entry: HistoryEntry): string {
  return `${JSON.stringify(entry)}\n`;
}

export function historyKeyOf(operation: Operation<KeyedKvInput, unknown>): string {
  return `${operation.input.table}/${JSON.stringify(operation.input.key)}`;
}

export function decodeHistory(text: string): FlotillaHistory {
  const operations: Operation<KeyedKvInput, KvOutput>[] = [];
  let expected: ExpectedVerdict | undefined;
  eachLine(text, (line) => {
    const fields = new Fields(line);
    if (expected === undefined) {
      expected = expectedOf(fields);
      return;
    }
    const operation = operationOf(fields);
    if (operation === undefined) return;
    if (operations.length === HISTORY_OPERATIONS_MAX) {
      throw new HistoryError(`more than ${HISTORY_OPERATIONS_MAX} operations`);
    }
    operations.push(operation);
  });
  if (expected === undefined) throw new HistoryError('no header: the file is empty');
  return { expected, operations };
}

function expectedOf(fields: Fields): ExpectedVerdict {
  fields.oneOf('format', [HISTORY_FORMAT]);
  return fields.oneOf('expected', ['linearizable', 'not-linearizable']);
}

/** An operation as the checker takes it; undefined if it says nothing. */
function operationOf(fields: Fields): Operation<KeyedKvInput, KvOutput> | undefined {
  const input = { table: fields.text('table'), key: fields.text('key'), ...inputOf(fields) };
  const outcome = fields.oneOf('outcome', ['ok', 'fail', 'unknown']);
  const call = fields.number('call');
  const client = fields.number('client');
  const end = fields.has('return') ? fields.number('return') : undefined;
  if (outcome === 'fail') return undefined;
  if (outcome === 'unknown') {
    if (input.kind === 'get') return undefined;
    return { client, input, output: { outcome }, call, return: Infinity };
  }
  if (end === undefined) throw new HistoryError('outcome ok, but no time of return');
  if (end < call) throw new HistoryError('returned before it was called');
  return { client, input, output: outputOf(fields, input), call, return: end };
}

function inputOf(fields: Fields): KvInput {
  const kind = fields.oneOf('kind', ['get', 'put', 'delete', 'txn-cas']);
  switch (kind) {
    case 'get':
    case 'delete':
      return { kind };
    case 'put':
      return { kind, value: fields.text('value') };
    case 'txn-cas':
      return { kind, expected: fields.textOrNull('expected'), value: fields.textOrNull('value') };
  }
}

function outputOf(fields: Fields, { kind }: KvInput): KvOutput {
  const found = kind === 'get' || fields.isGiven('found') ? fields.textOrNull('found') : undefined;
  const revision = fields.has('revision') ? fields.number('revision') : undefined;
  if (kind === 'get' && found === null && revision !== undefined) {
    throw new HistoryError('a revision of a pair that was not found');
  }
  const succeeded = kind === 'txn-cas' ? fields.boolean('succeeded') : undefined;
  return {
    outcome: 'ok',
    ...(found === undefined ? {} : { found }),
    ...(revision === undefined ? {} : { revision }),
    ...(succeeded === undefined ? {} : { succeeded }),
  };
}

/** One line as an object whose fields have the types they must have. */
class Fields {
  private readonly fields: Readonly<Record<string, unknown>>;

  constructor(line: string) {
    this.fields = objectOf(line);
  }

  isGiven(name: string): boolean {
    return this.fields[name] !== undefined;
  }

  /** Given, and not null. */
  has(name: string): boolean {
    return this.isGiven(name) && this.fields[name] !== null;
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T {
    const value = values.find((one) => one === this.fields[name]);
    return value ?? this.refuse(name, values.join(' or '));
  }

  text(name: string): string {
    const value = this.fields[name];
    return typeof value === 'string' ? value : this.refuse(name, 'a text');
  }

  textOrNull(name: string): string | null {
    return this.fields[name] === null ? null : this.text(name);
  }

  number(name: string): number {
    const value = this.fields[name];
    return typeof value === 'number' ? value : this.refuse(name, 'a number');
  }

  boolean(name: string): boolean {
    const value = this.fields[name];
    return typeof value === 'boolean' ? value : this.refuse(name, 'true or false');
  }

  private refuse(name: string, wanted: string): never {
    const found = JSON.stringify(this.fields[name]) ?? 'nothing';
    throw new HistoryError(`${name}: expected ${wanted}, not ${found}`);
  }
}

function objectOf(line: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new HistoryError('not JSON', { cause });
  }
  if (typeof value !== 'object' || value === null) throw new HistoryError('not an object');
  return { ...value };
}
