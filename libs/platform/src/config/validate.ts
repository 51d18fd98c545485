/**
 * From resolved values to the typed configuration object, judged by the class-validator decorators
 * of its class.
 *
 * A decorator's message that begins with `expected` is completed with what was given; `{field:x}` in
 * a message becomes the key of the sibling field x. Fields without a setting, or settings without
 * a decorated field, are defects of the app and throw.
 */
import 'reflect-metadata';
import { plainToInstance } from 'class-transformer';
import { validateSync, type ValidationError } from 'class-validator';
import { PlatformError } from '../platform-error.js';
import { isRecord } from './convert.js';
import { type ConfigProblem, quoteRaw } from './problem.js';
import { origin, type ResolvedSetting } from './resolve.js';
import { fieldPath } from './setting.js';

export type ConfigClass<T extends object> = new () => T;

export type Validation<T> =
  | { readonly kind: 'valid'; readonly config: T }
  | { readonly kind: 'refused'; readonly problems: readonly ConfigProblem[] };

export function validateConfig<T extends object>(
  type: ConfigClass<T>,
  resolved: ReadonlyMap<string, ResolvedSetting>,
  malformed: ReadonlySet<string>,
): Validation<T> {
  const byField = new Map<string, ResolvedSetting>();
  const plain: Record<string, unknown> = {};
  for (const entry of resolved.values()) {
    const path = fieldPath(entry.setting);
    byField.set(path, entry);
    place(plain, path.split('.'), entry.value);
  }
  const config = plainToInstance(type, plain);
  for (const field of fieldsOf(new type())) {
    if (!byField.has(field)) {
      throw new PlatformError('CONFIG_SCHEMA', `there is no setting for the field ${field}`);
    }
  }
  const errors = validateSync(config, {
    whitelist: true,
    forbidNonWhitelisted: true,
    forbidUnknownValues: true,
    validationError: { target: false },
  });
  const problems: ConfigProblem[] = [];
  for (const failure of leaves(errors, '')) {
    const entry = byField.get(failure.path);
    if (entry === undefined || failure.constraint === 'whitelistValidation') {
      throw new PlatformError(
        'CONFIG_SCHEMA',
        `setting and field do not match: ${failure.path} (${failure.message})`,
      );
    }
    if (malformed.has(entry.setting.key)) continue;
    const message = complete(failure, entry, byField);
    problems.push({ ...origin(entry.setting, entry), message });
  }
  if (problems.length > 0) return { kind: 'refused', problems };
  return { kind: 'valid', config: deepFreeze(config) };
}

function place(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [head = '', ...rest] = path;
  if (rest.length === 0) {
    target[head] = value;
    return;
  }
  const inner = (target[head] ??= {});
  if (!isRecord(inner)) {
    throw new PlatformError('CONFIG_SCHEMA', `${head} is both a setting and a section`);
  }
  place(inner, rest, value);
}

/** Paths of all fields of a configuration class, through its sections (which are class instances). */
function fieldsOf(section: object, prefix = ''): readonly string[] {
  return Object.entries(section).flatMap(([name, value]: [string, unknown]) => {
    const path = prefix === '' ? name : `${prefix}.${name}`;
    const isSection =
      typeof value === 'object' && value !== null && !Array.isArray(value) && !isRecord(value);
    return isSection ? fieldsOf(value, path) : [path];
  });
}

interface Failure {
  readonly path: string;
  readonly constraint: string;
  readonly message: string;
}

function leaves(errors: readonly ValidationError[], prefix: string): readonly Failure[] {
  return errors.flatMap((error) => {
    const path = prefix === '' ? error.property : `${prefix}.${error.property}`;
    const own = Object.entries(error.constraints ?? {}).map(([constraint, message]) => ({
      path,
      constraint,
      message: message.startsWith(`${error.property} `)
        ? message.slice(error.property.length + 1)
        : message,
    }));
    return [...own, ...leaves(error.children ?? [], path)];
  });
}

function complete(
  failure: Failure,
  entry: ResolvedSetting,
  byField: ReadonlyMap<string, ResolvedSetting>,
): string {
  const section = failure.path.split('.').slice(0, -1);
  const message = failure.message.replace(/\{field:(\w+)\}/g, (_, name: string) => {
    return byField.get([...section, name].join('.'))?.setting.key ?? name;
  });
  return message.startsWith('expected ')
    ? `${message}, got ${quoteRaw(entry.setting, entry.raw)}`
    : message;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
