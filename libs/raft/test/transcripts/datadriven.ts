/**
 * The format of the recorded transcripts, and how one is replayed.
 *
 *   # comment
 *   command arg arg=value arg=(v1, v2) \
 *     more-args
 *   input lines
 *   ----
 *   expected output, to the first blank line; between two pairs of ---- it may hold blank lines
 */

export interface Argument {
  readonly key: string;
  /** Empty for a bare word; nested parentheses stay part of a value. */
  readonly vals: readonly string[];
}

export interface Directive {
  /** Line of the command, from 1. */
  readonly pos: number;
  readonly cmd: string;
  readonly args: readonly Argument[];
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
  const lines = text.split('\n');
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
  while (command.endsWith('\\')) command = command.slice(0, -1) + (lines[at++]?.trim() ?? '');
  const input: string[] = [];
  while (at < lines.length && lines[at] !== SEPARATOR) input.push(lines[at++] ?? '');
  if (at >= lines.length) throw new Error(`line ${start + 1}: no ${SEPARATOR} after the command`);
  const output = readExpected(lines, at + 1);
  const { cmd, args } = parseCommand(command, start + 1);
  const expected = output.lines.map((line) => `${line}\n`).join('');
  const directive = { pos: start + 1, cmd, args, input: input.join('\n'), expected };
  return { directive, next: output.next };
}

function readExpected(lines: string[], start: number): { lines: string[]; next: number } {
  let at = start;
  const out: string[] = [];
  if (lines[at] !== SEPARATOR) {
    while (at < lines.length && lines[at]?.trim() !== '') out.push(lines[at++] ?? '');
    return { lines: out, next: at };
  }
  for (at++; at < lines.length; at++) {
    const closes =
      lines[at] === SEPARATOR && lines[at + 1] === SEPARATOR && (lines[at + 2] ?? '') === '';
    if (closes) return { lines: out, next: at + 2 };
    out.push(lines[at] ?? '');
  }
  throw new Error(`line ${start}: the output is not closed by two ${SEPARATOR}`);
}

function parseCommand(text: string, pos: number): { cmd: string; args: Argument[] } {
  const [cmd, ...words] = splitOutside(text, /\s/);
  if (cmd === undefined) throw new Error(`line ${pos}: no command`);
  return { cmd, args: words.map((word) => parseArgument(word, pos)) };
}

function parseArgument(word: string, pos: number): Argument {
  const equals = word.indexOf('=');
  if (equals < 0) return { key: word, vals: [] };
  const key = word.slice(0, equals);
  const value = word.slice(equals + 1);
  if (!value.startsWith('(')) return { key, vals: [value] };
  if (!value.endsWith(')')) throw new Error(`line ${pos}: ${word}: a parenthesis is not closed`);
  return { key, vals: splitOutside(value.slice(1, -1), /[\s,]/) };
}

/** Splits at separators that stand outside of parentheses; drops empty parts. */
function splitOutside(text: string, separator: RegExp): string[] {
  const parts: string[] = [];
  let depth = 0;
  let part = '';
  for (const char of text) {
    if (char === '(') depth++;
    if (char === ')') depth--;
    if (depth === 0 && separator.test(char)) {
      if (part !== '') parts.push(part);
      part = '';
    } else {
      part += char;
    }
  }
  if (part !== '') parts.push(part);
  return parts;
}

/** Runs every directive of a transcript; an exception is a mismatch with its text. */
export function replay(text: string, handler: DirectiveHandler): ReplayResult {
  const directives = parseFile(text);
  const mismatches: Mismatch[] = [];
  for (const directive of directives) {
    const { pos, cmd, expected } = directive;
    const actual = withNewline(outputOf(directive, handler));
    if (actual !== expected) mismatches.push({ pos, cmd, expected, actual });
  }
  return { matched: directives.length - mismatches.length, total: directives.length, mismatches };
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
