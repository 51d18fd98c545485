/**
 * What an app says about each of its settings: the one list that files, environment, flags, help
 * text, the typed configuration object and its description are all made from.
 *
 * In: a list of `Setting`. Out: the same list, checked for clashes, with the names each setting has
 * in every layer. This file never reads a file, a variable or an argument.
 */
import { PlatformError } from '../platform-error.js';

export const SETTING_KINDS = [
  'string',
  'path',
  'url',
  'host-port',
  'enum',
  'int',
  'uint64',
  'bool',
  'duration',
  'list',
  'map',
] as const;

export type SettingKind = (typeof SETTING_KINDS)[number];

/** Durations are milliseconds; numbers are safe integers; everything else is text. */
export type SettingValue =
  string | number | boolean | readonly string[] | Readonly<Record<string, string>>;

/** What a derived default may look at: the final values of other settings. */
export interface ResolvedValues {
  text(key: string): string;
  map(key: string): Readonly<Record<string, string>>;
}

export interface DerivedDefault {
  readonly derive: (values: ResolvedValues) => string | number;
  /** Shown in the help text, e.g. `<data-dir>/raft`. */
  readonly text: string;
}

export type SettingDefault = SettingValue | DerivedDefault;

export interface Setting {
  /** Dotted key as it appears in files and flags, e.g. `raft.node-host-dir`. */
  readonly key: string;
  readonly kind: SettingKind;
  /** Written as a user would write it: a duration is `'50ms'`. */
  readonly default: SettingDefault;
  readonly description: string;
  /** Allowed values of an `enum`; matched without regard to case. */
  readonly values?: readonly string[];
  /** For `map`: entries without a key are numbered from 1 in the order they are written. */
  readonly numbered?: boolean;
  /** Never printed: neither in descriptions nor in complaints. */
  readonly secret?: boolean;
  /** Commands that take this setting; all of them when left out. */
  readonly appliesTo?: readonly string[];
  /** Commands that cannot do without it: its default, which is empty, is refused there. */
  readonly requiredBy?: readonly string[];
  /** Where the value lies in the typed object, when it is not the camel case of the key. */
  readonly field?: string;
}

export const ENVIRONMENT_PREFIX = 'FLOTILLA_';

/** Environment variable that names the configuration file, beside the flag `--config`. */
export const CONFIG_FILE_VARIABLE = 'FLOTILLA_CONFIG';

export function derivedDefault(
  text: string,
  derive: (values: ResolvedValues) => string | number,
): DerivedDefault {
  return { derive, text };
}

export function isDerived(value: SettingDefault): value is DerivedDefault {
  return typeof value === 'object' && 'derive' in value && typeof value.derive === 'function';
}

/** `raft.node-host-dir` -> `FLOTILLA_RAFT_NODE_HOST_DIR`. */
export function environmentName(key: string): string {
  return ENVIRONMENT_PREFIX + key.toUpperCase().replace(/[.-]/g, '_');
}

/**
 * The name Regatta looks a setting up by: the upper-cased key, dots and dashes kept. Keys without
 * either have no such name, because a plain word is too likely to mean something else.
 */
export function legacyEnvironmentName(key: string): string | undefined {
  return /[.-]/.test(key) ? key.toUpperCase() : undefined;
}

/** `raft.node-host-dir` -> `raft.nodeHostDir`; a duration says its unit: `raft.rttMs`. */
export function fieldPath(setting: Setting): string {
  if (setting.field !== undefined) return setting.field;
  const camel = setting.key.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  return setting.kind === 'duration' ? `${camel}Ms` : camel;
}

/** Checks the list itself: a clash here is a defect of the app, so it throws. */
export function defineSettings(settings: readonly Setting[]): readonly Setting[] {
  const taken = new Map<string, string>();
  const claim = (what: string, name: string, key: string): void => {
    const holder = taken.get(`${what} ${name}`);
    if (holder !== undefined) {
      throw new PlatformError('CONFIG_SCHEMA', `${key} and ${holder} share the ${what} ${name}`);
    }
    taken.set(`${what} ${name}`, key);
  };
  for (const setting of settings) {
    if (!/^[a-z][a-z0-9]*([.-][a-z0-9]+)*$/.test(setting.key)) {
      throw new PlatformError('CONFIG_SCHEMA', `${setting.key} is not a dotted lower-case key`);
    }
    if (setting.kind === 'enum' && (setting.values ?? []).length === 0) {
      throw new PlatformError('CONFIG_SCHEMA', `${setting.key} is an enum without values`);
    }
    claim('key', setting.key, setting.key);
    claim('variable', environmentName(setting.key), setting.key);
    claim('field', fieldPath(setting), setting.key);
  }
  return settings;
}
