/**
 * What is wrong with the given configuration, as data: problems are collected from every layer
 * and shown together, so that a user repairs a file in one round.
 *
 * Also the small things every complaint needs: how a value is quoted (never a secret) and which
 * known name an unknown one was probably meant to be.
 */
import type { Setting } from './setting.js';

export interface ConfigProblem {
  /** Where it came from: a file, a variable, a flag. */
  readonly source: string;
  /** The setting concerned, where it differs from what the source already names. */
  readonly key?: string;
  readonly message: string;
}

/** One setting as found in a layer, before it is converted. */
export interface RawSetting {
  readonly raw: unknown;
  readonly source: string;
}

export interface Layer {
  readonly settings: ReadonlyMap<string, RawSetting>;
  readonly problems: readonly ConfigProblem[];
}

export const SECRET_MASK = '**********';

const QUOTED_CHARS_MAX = 120;

export function formatProblem(problem: ConfigProblem): string {
  const parts = [problem.source, problem.key, problem.message];
  return parts.filter((part) => part !== undefined && part !== '').join(': ');
}

export function quoteRaw(setting: Setting, raw: unknown): string {
  if (setting.secret === true) return SECRET_MASK;
  const text =
    typeof raw === 'bigint'
      ? raw.toString()
      : (JSON.stringify(raw, (_, value: unknown) =>
          typeof value === 'bigint' ? value.toString() : value,
        ) ?? String(raw));
  return text.length > QUOTED_CHARS_MAX ? `${text.slice(0, QUOTED_CHARS_MAX)}...` : text;
}

/** `, did you mean x?` where a known name is close enough, else nothing. */
export function suggestion(name: string, known: Iterable<string>): string {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 4)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name, candidate, bestDistance);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best === undefined ? '' : `, did you mean ${best}?`;
}

/** Levenshtein distance, given up on (as `limit`) once it cannot stay below `limit`. */
function editDistance(left: string, right: string, limit: number): number {
  if (Math.abs(left.length - right.length) >= limit) return limit;
  let previous = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const substitution =
        (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      const insertion = (current[column - 1] ?? 0) + 1;
      const deletion = (previous[column] ?? 0) + 1;
      current.push(Math.min(substitution, insertion, deletion));
    }
    previous = current;
  }
  return Math.min(previous[right.length] ?? limit, limit);
}
