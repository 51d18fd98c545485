/**
 * The file layer: finds `config.{yaml,yml,json,toml}`, parses it, and flattens it to dotted keys.
 *
 * Nested and dotted keys mean the same and may be mixed; a setting given in both forms is refused.
 * The first folder that holds a file wins, as users of Regatta expect; files are never merged.
 */
import { existsSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { parseDocument } from 'yaml';
import { isRecord } from './convert.js';
import { type ConfigProblem, type Layer, type RawSetting, suggestion } from './problem.js';
import type { Setting } from './setting.js';

const EXTENSIONS = ['.yaml', '.yml', '.json', '.toml'] as const;
const BASE_NAME = 'config';
const FILE_BYTES_MAX = 1024 * 1024;
const DEPTH_MAX = 16;

/** Folders searched for a file when none is named: ours, then those of Regatta. */
export function configDirectories(home: string | undefined): readonly string[] {
  const ofHome = (name: string): string[] => (home === undefined ? [] : [join(home, name)]);
  return [
    '/etc/flotilla',
    '/config',
    ...ofHome('.flotilla'),
    '.',
    '/etc/regatta',
    ...ofHome('.regatta'),
  ];
}

export type FoundFile =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'ambiguous'; readonly problem: ConfigProblem };

export function findConfigFile(directories: readonly string[], cwd: string): FoundFile {
  for (const directory of directories) {
    const paths = EXTENSIONS.map((extension) => join(directory, BASE_NAME + extension));
    const found = paths.filter((path) => existsSync(path.startsWith('/') ? path : join(cwd, path)));
    const [first, second] = found;
    if (first === undefined) continue;
    if (second === undefined) return { kind: 'file', path: first };
    const message = 'both exist: keep one, or name one with --config';
    return { kind: 'ambiguous', problem: { source: `${first} and ${second}`, message } };
  }
  return { kind: 'none' };
}

/** Reads and flattens one file. The path as given is also what complaints call it. */
export function readConfigFile(path: string, cwd: string, known: readonly Setting[]): Layer {
  const parsed = parseFile(path, path.startsWith('/') ? path : join(cwd, path));
  if (parsed.kind === 'refused') {
    return { settings: new Map(), problems: [{ source: path, message: parsed.message }] };
  }
  return flatten(path, parsed.content, known);
}

type ParsedFile =
  | { readonly kind: 'parsed'; readonly content: unknown }
  | { readonly kind: 'refused'; readonly message: string };

function parseFile(path: string, location: string): ParsedFile {
  try {
    const text = readFileSync(location, 'utf8');
    if (text.length > FILE_BYTES_MAX) {
      return { kind: 'refused', message: `expected at most ${FILE_BYTES_MAX} bytes` };
    }
    switch (extname(path).toLowerCase()) {
      case '.yaml':
      case '.yml':
        return parseYaml(text);
      case '.json':
        return { kind: 'parsed', content: JSON.parse(text) as unknown };
      case '.toml':
        return { kind: 'parsed', content: parseToml(text, { integersAsBigInt: true }) };
      default:
        return { kind: 'refused', message: `expected one of ${EXTENSIONS.join(', ')}` };
    }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { kind: 'refused', message: `cannot be read: ${message.trim()}` };
  }
}

function parseYaml(text: string): ParsedFile {
  const document = parseDocument(text, { intAsBigInt: true, logLevel: 'error' });
  const first = document.errors[0];
  if (first !== undefined)
    return { kind: 'refused', message: `is not YAML: ${first.message.trim()}` };
  return { kind: 'parsed', content: document.toJS({ maxAliasCount: 100 }) as unknown };
}

function flatten(path: string, content: unknown, known: readonly Setting[]): Layer {
  const settings = new Map<string, RawSetting>();
  const problems: ConfigProblem[] = [];
  const byKey = new Map(known.map((setting) => [setting.key, setting]));
  const sections = new Set(known.flatMap((setting) => prefixesOf(setting.key)));

  const visit = (prefix: string, value: unknown, depth: number): void => {
    const refuse = (message: string): void => {
      problems.push({ source: path, key: prefix, message });
    };
    // An empty section or value of YAML is null; like an absent one it leaves the default alone.
    if (value === null || value === undefined) return;
    if (byKey.has(prefix)) {
      if (settings.has(prefix)) refuse('given twice, once nested and once dotted');
      else settings.set(prefix, { raw: value, source: path });
      return;
    }
    if (isRecord(value) && depth < DEPTH_MAX && (prefix === '' || sections.has(prefix))) {
      for (const [name, inner] of Object.entries(value)) {
        const key = name.toLowerCase();
        visit(prefix === '' ? key : `${prefix}.${key}`, inner, depth + 1);
      }
      return;
    }
    if (prefix === '') refuse('expected settings by name');
    else if (sections.has(prefix)) refuse('is a section: expected settings below it');
    else refuse(`unknown setting${suggestion(prefix, [...byKey.keys(), ...sections])}`);
  };

  visit('', content, 0);
  return { settings, problems };
}

function prefixesOf(key: string): readonly string[] {
  const parts = key.split('.');
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('.'));
}
