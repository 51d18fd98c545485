/**
 * One key of a Flotilla table: its value, and the revision at which it was last changed.
 *
 * In: one operation with what it gave, or that nothing is known of its outcome. Out: value and
 * revision after it. Revisions make the search fast and strict at once: a change is made at a
 * revision above the one before, and a get tells which change it saw. A change whose answer was lost
 * has a revision nobody knows; the next get that sees it fixes it.
 */
import { type Model } from '../checker/operation.js';

/** What is asked of one key; a value of null is the absence of the key. */
export type KvInput =
  | { readonly kind: 'get' }
  | { readonly kind: 'put'; readonly value: string }
  | { readonly kind: 'delete' }
  /** A Txn: if the key has the expected value, it gets another one. */
  | {
      readonly kind: 'txn-cas';
      readonly expected: string | null;
      readonly value: string | null;
    };

/** What is left out was not asked for, or is not known. */
export interface KvOutput {
  readonly outcome: 'ok' | 'unknown';
  /** The value before the operation. */
  readonly found?: string | null;
  /** Of a get: the revision of the found pair. Of all others: the revision they were done at. */
  readonly revision?: number;
  /** Of a txn-cas with outcome ok: whether the key had the expected value. */
  readonly succeeded?: boolean;
}

export interface KvState {
  readonly value: string | null;
  readonly revision: number;
  /** False if the true revision is a higher one: the change was made, its answer was lost. */
  readonly isExact: boolean;
}

const ABSENT: KvState = { value: null, revision: 0, isExact: true };

export const kvModel: Model<KvState, KvInput, KvOutput> = {
  name: 'kv',
  init: () => ABSENT,
  step(state, input, output) {
    if (output.found !== undefined && output.found !== state.value) return undefined;
    switch (input.kind) {
      case 'get':
        return seen(state, output.revision);
      case 'put':
        return changed(state, input.value, output.revision);
      case 'delete':
        return changed(state, null, output.revision);
      case 'txn-cas': {
        const isEqual = state.value === input.expected;
        if (output.outcome === 'unknown' || output.succeeded === true) {
          return isEqual ? changed(state, input.value, output.revision) : undefined;
        }
        const isLate = output.revision === undefined || output.revision > state.revision;
        return !isEqual && isLate ? state : undefined;
      }
    }
  },
  same: (one, other) =>
    one.revision === other.revision && one.value === other.value && one.isExact === other.isExact,
  lost: {
    likeness: (input, output) => JSON.stringify([input, output]),
    isBlind: (input) => input.kind === 'put' || input.kind === 'delete',
    needs: (input) => (input.kind === 'txn-cas' ? show(input.expected) : undefined),
    offers: (state) => show(state.value),
  },
  hash: ({ value, revision, isExact }) => `${revision}${isExact ? '=' : '+'}${value ?? '\0'}`,
  describe(input, output) {
    const at = output.revision === undefined ? '' : ` @${output.revision}`;
    const end = output.outcome === 'unknown' ? ' ?' : at;
    const before = output.found === undefined ? '' : ` found ${show(output.found)}`;
    switch (input.kind) {
      case 'get':
        return `get${before}${end}`;
      case 'put':
        return `put ${show(input.value)}${before}${end}`;
      case 'delete':
        return `delete${before}${end}`;
      case 'txn-cas': {
        const differed = output.succeeded === false ? ' (differed)' : '';
        return `cas ${show(input.expected)} -> ${show(input.value)}${differed}${before}${end}`;
      }
    }
  },
  describeState: ({ value, revision, isExact }) =>
    `${show(value)} ${isExact ? '@' : 'after '}${revision}`,
};

/** After a get that found the value of this state. */
function seen(state: KvState, revision: number | undefined): KvState | undefined {
  if (revision === undefined) return state;
  if (state.value === null) return undefined;
  if (state.isExact) return revision === state.revision ? state : undefined;
  return revision > state.revision ? { ...state, revision, isExact: true } : undefined;
}

function changed(
  state: KvState,
  value: string | null,
  revision: number | undefined,
): KvState | undefined {
  if (revision === undefined) return { ...state, value, isExact: false };
  return revision > state.revision ? { value, revision, isExact: true } : undefined;
}

function show(value: string | null): string {
  return value === null ? 'absent' : JSON.stringify(value);
}
