/**
 * Log lines for people: `12:00:00.123 INFO  raft: elected  term=3 index=17`.
 *
 * In: one JSON line of the log. Out: one line of text, stacks below it. A line that is not JSON is
 * handed through as it is.
 */
import { isRecord } from '../config/convert.js';

const LEVEL_COLORS: ReadonlyMap<string, string> = new Map([
  ['debug', '\u001b[90m'],
  ['info', '\u001b[32m'],
  ['warn', '\u001b[33m'],
  ['error', '\u001b[31m'],
]);
const RESET = '\u001b[0m';
const DIM = '\u001b[2m';

const HEAD_FIELDS = new Set(['level', 'time', 'service', 'component', 'msg']);
const ERROR_FIELDS = new Set(['err', 'error', 'cause']);

export function formatPretty(line: string, colors: boolean): string {
  const entry = parseLine(line);
  if (entry === undefined) return line;
  const level = textOf(entry['level']);
  const time = textOf(entry['time']).slice(11, 23);
  const name = level.toUpperCase().padEnd(5);
  const shownLevel = colors ? `${LEVEL_COLORS.get(level) ?? ''}${name}${RESET}` : name;
  const component = textOf(entry['component']);
  const message = [component, textOf(entry['msg'])].filter((part) => part !== '').join(': ');
  const fields = Object.entries(entry)
    .filter(([key]) => !HEAD_FIELDS.has(key) && !ERROR_FIELDS.has(key))
    .map(([key, value]) => `${key}=${textOf(value)}`)
    .join(' ');
  const tail = fields === '' ? '' : `  ${colors ? `${DIM}${fields}${RESET}` : fields}`;
  return `${time} ${shownLevel} ${message}${tail}\n${stacksOf(entry)}`;
}

function parseLine(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    return isRecord(entry) ? entry : undefined;
  } catch {
    // Not written by us: the caller shows it unchanged, which is all that can be done with it.
    return undefined;
  }
}

function stacksOf(entry: Readonly<Record<string, unknown>>): string {
  let text = '';
  for (const [key, value] of Object.entries(entry)) {
    if (!ERROR_FIELDS.has(key)) continue;
    const stack = isRecord(value) ? (value['stack'] ?? value['message'] ?? value) : value;
    text += `${textOf(stack).replace(/^/gm, '    ')}\n`;
  }
  return text;
}

function textOf(value: unknown): string {
  if (value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
