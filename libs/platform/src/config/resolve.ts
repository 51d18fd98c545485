/**
 * Puts the layers together: for each setting the value of the strongest layer that has it, else its
 * default; and for each value where it came from.
 *
 * In: raw layers, weakest first. Out: converted values and every problem of form. A malformed value
 * is replaced by the default for the checks that follow, so that one mistake is reported once.
 */
import { PlatformError } from '../platform-error.js';
import { convert, isRecord } from './convert.js';
import { type ConfigProblem, type Layer, quoteRaw, type RawSetting } from './problem.js';
import { isDerived, type ResolvedValues, type Setting, type SettingValue } from './setting.js';

export interface ResolvedSetting {
  readonly setting: Setting;
  readonly value: SettingValue;
  /** What was written, for complaints: the raw text rather than what became of it. */
  readonly raw: unknown;
  readonly source: string;
}

export interface Resolution {
  /** All settings, also those of other commands, so that the typed object is always whole. */
  readonly resolved: ReadonlyMap<string, ResolvedSetting>;
  readonly problems: readonly ConfigProblem[];
  /** Keys that already have a problem: not to be complained about again. */
  readonly malformed: ReadonlySet<string>;
}

export function resolveSettings(
  known: readonly Setting[],
  layers: readonly Layer[],
  command: string,
): Resolution {
  const problems: ConfigProblem[] = [];
  const malformed = new Set<string>();
  const resolved = new Map<string, ResolvedSetting>();
  for (const setting of known) {
    const given = strongest(layers, setting.key);
    if (given === undefined) continue;
    const refuse = (message: string): void => {
      malformed.add(setting.key);
      problems.push({ ...origin(setting, given), message });
    };
    if (!appliesTo(setting, command)) {
      refuse(`applies to ${setting.appliesTo?.join(', ')} only, not to ${command}`);
      continue;
    }
    const conversion = convert(setting, given.raw);
    if (conversion.kind === 'refused') {
      refuse(`expected ${conversion.expected}, got ${quoteRaw(setting, given.raw)}`);
    } else if (!(conversion.value === '' && isDerived(setting.default))) {
      // Empty text where the default is made from another setting means that default.
      const { value } = conversion;
      resolved.set(setting.key, { setting, value, raw: given.raw, source: given.source });
    }
  }
  fillDefaults(known, resolved);
  for (const { setting, value } of resolved.values()) {
    const isMissing = setting.requiredBy?.includes(command) === true && isEmpty(value);
    if (!isMissing || malformed.has(setting.key)) continue;
    malformed.add(setting.key);
    problems.push({ source: setting.key, message: `must be set for ${command}` });
  }
  return { resolved: inOrder(known, resolved), problems, malformed };
}

export function appliesTo(setting: Setting, command: string): boolean {
  return setting.appliesTo === undefined || setting.appliesTo.includes(command);
}

/** A flag names the setting itself; files and variables get the key beside their own name. */
export function origin(
  setting: Setting,
  given: { readonly source: string },
): Pick<ConfigProblem, 'source' | 'key'> {
  const isFlag = given.source === `--${setting.key}`;
  return isFlag ? { source: given.source } : { source: given.source, key: setting.key };
}

function isEmpty(value: SettingValue): boolean {
  return typeof value === 'object' ? Object.keys(value).length === 0 : value === '';
}

function strongest(layers: readonly Layer[], key: string): RawSetting | undefined {
  return layers.findLast((layer) => layer.settings.has(key))?.settings.get(key);
}

function inOrder(
  known: readonly Setting[],
  resolved: ReadonlyMap<string, ResolvedSetting>,
): ReadonlyMap<string, ResolvedSetting> {
  const ordered = new Map<string, ResolvedSetting>();
  for (const { key } of known) {
    const found = resolved.get(key);
    if (found !== undefined) ordered.set(key, found);
  }
  return ordered;
}

function fillDefaults(known: readonly Setting[], resolved: Map<string, ResolvedSetting>): void {
  const byKey = new Map(known.map((setting) => [setting.key, setting]));
  const underWay = new Set<string>();

  const valueOf = (key: string): SettingValue => {
    const present = resolved.get(key);
    if (present !== undefined) return present.value;
    const setting = byKey.get(key);
    if (setting === undefined || underWay.has(key)) {
      throw new PlatformError('CONFIG_SCHEMA', `the default of ${key} cannot be worked out`);
    }
    underWay.add(key);
    const raw = isDerived(setting.default) ? setting.default.derive(view) : setting.default;
    const conversion = convert(setting, raw);
    if (conversion.kind === 'refused') {
      throw new PlatformError('CONFIG_SCHEMA', `the default of ${key} is not well formed`);
    }
    const source = isDerived(setting.default) ? `default (${setting.default.text})` : 'default';
    resolved.set(key, { setting, value: conversion.value, raw, source });
    return conversion.value;
  };
  const view: ResolvedValues = {
    text(key) {
      const value = valueOf(key);
      return typeof value === 'object' ? JSON.stringify(value) : String(value);
    },
    map(key) {
      const value = valueOf(key);
      return isRecord(value) ? value : {};
    },
  };
  for (const setting of known) valueOf(setting.key);
}
