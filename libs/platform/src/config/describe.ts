/**
 * What a node says about its configuration: every setting under its dotted key, secrets masked.
 *
 * The flat map answers a status request that asks for the configuration; the sources go to the
 * debug log. Both must never hold the value of a secret setting, not even whether it is set.
 */
import { formatDuration } from './duration.js';
import type { LoadedConfig } from './load.js';
import { SECRET_MASK } from './problem.js';
import type { ResolvedSetting } from './resolve.js';
import type { SettingValue } from './setting.js';

/** Durations are printed as Go does (`1m30s`); lists and maps keep their shape. */
export function describeConfig<T extends object>(
  loaded: LoadedConfig<T>,
): Readonly<Record<string, SettingValue>> {
  const entries = [...loaded.resolved].map(([key, entry]) => [key, shown(entry)] as const);
  return Object.fromEntries(entries);
}

/** Where each value came from: `default`, a file, a variable or a flag. */
export function describeSources<T extends object>(
  loaded: LoadedConfig<T>,
): Readonly<Record<string, string>> {
  return Object.fromEntries([...loaded.resolved].map(([key, entry]) => [key, entry.source]));
}

function shown(entry: ResolvedSetting): SettingValue {
  if (entry.setting.secret === true) return SECRET_MASK;
  if (entry.setting.kind === 'duration') return formatDuration(Number(entry.value));
  return entry.value;
}
