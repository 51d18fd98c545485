/**
 * The environment layer. In: variables. Out: raw settings by key.
 *
 * A setting has two names: `FLOTILLA_RAFT_RTT`, and the one Regatta's deployments use, `RAFT.RTT`;
 * ours wins where both are set. A variable that starts with our prefix and means nothing is refused,
 * because a misspelt one would otherwise leave a default in force unseen. Empty means not set.
 */
import { type ConfigProblem, type Layer, type RawSetting, suggestion } from './problem.js';
import {
  CONFIG_FILE_VARIABLE,
  ENVIRONMENT_PREFIX,
  environmentName,
  legacyEnvironmentName,
  type Setting,
} from './setting.js';

export type Environment = Readonly<Record<string, string | undefined>>;

/** `reserved` names variables of other programs; one that ends in `*` stands for a prefix. */
export function readEnvironment(
  environment: Environment,
  known: readonly Setting[],
  reserved: readonly string[],
): Layer {
  const settings = new Map<string, RawSetting>();
  const problems: ConfigProblem[] = [];
  const names = new Map<string, string>();
  for (const setting of known) {
    const name = environmentName(setting.key);
    names.set(name, setting.key);
    const ours = environment[name];
    const legacyName = legacyEnvironmentName(setting.key);
    const legacy = legacyName === undefined ? undefined : environment[legacyName];
    if (ours !== undefined && ours !== '') {
      settings.set(setting.key, { raw: ours, source: name });
    } else if (legacyName !== undefined && legacy !== undefined && legacy !== '') {
      settings.set(setting.key, { raw: legacy, source: legacyName });
    }
  }
  for (const name of Object.keys(environment).sort()) {
    if (!name.startsWith(ENVIRONMENT_PREFIX) || names.has(name)) continue;
    if (name === CONFIG_FILE_VARIABLE || isReserved(name, reserved)) continue;
    problems.push({
      source: name,
      message: `unknown variable${suggestion(name, names.keys())}`,
    });
  }
  return { settings, problems };
}

function isReserved(name: string, reserved: readonly string[]): boolean {
  return reserved.some((entry) =>
    entry.endsWith('*') ? name.startsWith(entry.slice(0, -1)) : name === entry,
  );
}
