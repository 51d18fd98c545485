/**
 * The format of the recorded transcripts, and how one is replayed.
 *
 *   # comment
 *   command arg arg=value arg=(v1, v2) \
 *     more-args
 *   input lines
 *   ----
 *   expected output, to the first blank line; between two pairs of ---- it may hold blank lines
 *
 * In: the text of a file and what runs one of its commands. Out: what did not come out as expected.
 * Knows nothing of Raft, and reads no files.
 */

export interface Argument {
  readonly key: string;
  /** Empty for a bare word and for `()`; nested parentheses stay part of a value. */
  readonly vals: readonly string[];
}

export interface Directive {
  /** Line of the command, from 1. */
  readonly pos: number;
  readonly cmd: string;
  readonly args: readonly Argument[];
  /** Without white space around it. */
  readonly input: string;
  readonly expected: string;
}

export interface Mismatch {
  readonly pos: number;
  readonly cmd: string;
  readonly expected: string;
  readonly actual: string;
}

export interface ReplayResult {
  readonly matched: number;
  readonly total: number;
  readonly mismatches: readonly Mismatch[];
}

export type DirectiveHandler = (directive: Directive) => string;

const SEPARATOR = '----';

/** Throws an Error with the line number where the text breaks the format. */
export function parseFile(text: string): Directive[] {
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
  // What follows the last line break is no line.
  if (lines.at(-1) === '') lines.pop();
  const directives: Directive[] = [];
  for (let at = 0; at < lines.length;) {
    const line = lines[at]?.trim() ?? '';
    if (line === '' || line.startsWith('#')) {
      at++;
      continue;
    }
    const block = parseDirective(lines, at);
    directives.push(block.directive);
    at = block.next;
  }
  return directives;
}

function parseDirective(lines: string[], start: number): { directive: Directive; next: number } {
  let at = start;
  let command = lines[at++]?.trim() ?? '';
  while (command.endsWith('\\') && at < lines.length) {
    command = `${command.slice(0, -1)} ${lines[at++]?.trim() ?? ''}`;
  }
  const separator = lines.indexOf(SEPARATOR, at);
  const inputEnd = separator < 0 ? lines.length : separator;
  const input = lines.slice(at, inputEnd).join('\n').trim();
  // Without a separator all that is left is input, and nothing is expected.
  const output =
    separator < 0 ? { lines: [], next: lines.length } : readExpected(lines, separator + 1);
  const { cmd, args } = parseCommand(command, start + 1);
  const expected = output.lines.map((line) => `${line}\n`).join('');
  return { directive: { pos: start + 1, cmd, args, input, expected }, next: output.next };
}

function readExpected(lines: string[], start: number): { lines: string[]; next: number } {
  let at = start;
  if (lines[at] !== SEPARATOR) {
    while (at < lines.length && lines[at]?.trim() !== '') at++;
    return { lines: lines.slice(start, at), next: at };
  }
  for (at = start + 1; at < lines.length; at++) {
    if (lines[at] !== SEPARATOR || lines[at + 1] !== SEPARATOR) continue;
    if ((lines[at + 2] ?? '') !== '') {
      throw new Error(`line ${at + 3}: a blank line has to follow the closing ${SEPARATOR}`);
    }
    return { lines: lines.slice(start + 1, at), next: at + 2 };
  }
  throw new Error(`line ${start + 1}: the output is not closed by two ${SEPARATOR}`);
}

/** The next word, and the sign that it has a value: `cmd`, `arg`, `arg=`. */
const WORD = /\s*([^\s=]+)(=?)/y;
/** A value without parentheses around it; it may be empty. */
const PLAIN_VALUE = /[^\s]*/y;

function parseCommand(text: string, pos: number): { cmd: string; args: Argument[] } {
  const [cmd = ''] = /^\S+/.exec(text) ?? [];
  const args: Argument[] = [];
  const fail = (at: number, what: string) =>
    new Error(`line ${pos}: ${what} in: ${text.slice(at).trim()}`);
  for (let at = cmd.length; text.slice(at).trim() !== '';) {
    WORD.lastIndex = at;
    const [, key, equals] = WORD.exec(text) ?? [];
    if (key === undefined) throw fail(at, 'a value without a name');
    const value = WORD.lastIndex;
    at = value;
    if (equals === '') {
      args.push({ key, vals: [] });
    } else if (text[value] === '(') {
      const list = parseList(text, value);
      if (list === undefined) throw fail(value, 'a parenthesis is not closed');
      args.push({ key, vals: list.vals });
      at = list.next;
      if (!/^(\s|$)/.test(text.slice(at))) throw fail(at, 'no space after a list');
    } else {
      PLAIN_VALUE.lastIndex = value;
      const val = PLAIN_VALUE.exec(text)?.[0] ?? '';
      args.push({ key, vals: [val] });
      at = value + val.length;
    }
  }
  return { cmd, args };
}

/** Values between the parenthesis at `start` and its partner, separated by commas outside others. */
function parseList(text: string, start: number): { vals: string[]; next: number } | undefined {
  const vals: string[] = [];
  let depth = 0;
  let from = start + 1;
  for (let at = start; at < text.length; at++) {
    if (text[at] === '(') depth++;
    else if (text[at] === ')') depth--;
    if (depth === 0 || (depth === 1 && text[at] === ',')) {
      vals.push(text.slice(from, at).trim());
      from = at + 1;
    }
    if (depth > 0) continue;
    const isEmpty = vals.length === 1 && vals[0] === '';
    return { vals: isEmpty ? [] : vals, next: at + 1 };
  }
  return undefined;
}

/**
 * Runs every directive of a transcript; an exception is a mismatch with its text. So is a text that
 * breaks the format or holds no directive: nothing was shown by it.
 */
export function replay(text: string, handler: DirectiveHandler): ReplayResult {
  let directives: Directive[];
  try {
    directives = parseFile(text);
  } catch (error) {
    return unreadable(error instanceof Error ? error.message : String(error));
  }
  if (directives.length === 0) return unreadable('no directive in it');
  const mismatches: Mismatch[] = [];
  for (const directive of directives) {
    const { pos, cmd, expected } = directive;
    const actual = withNewline(outputOf(directive, handler));
    if (actual !== expected) mismatches.push({ pos, cmd, expected, actual });
  }
  return { matched: directives.length - mismatches.length, total: directives.length, mismatches };
}

function unreadable(why: string): ReplayResult {
  const mismatch = { pos: 1, cmd: '(file)', expected: 'a transcript\n', actual: `${why}\n` };
  return { matched: 0, total: 1, mismatches: [mismatch] };
}

function outputOf(directive: Directive, handler: DirectiveHandler): string {
  try {
    return handler(directive);
  } catch (error) {
    return `exception: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  }
}

function withNewline(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}
