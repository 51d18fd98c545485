/**
 * One key of a store of texts with get, put and append; it begins as the empty text.
 *
 * In: one operation with what it gave. Out: the text after it, with a hash that grows along with it:
 * to hash a long text anew at every step would cost more than the search itself.
 */
import { type Model } from '../checker/operation.js';

export interface TextState {
  readonly text: string;
  readonly hash: number;
}

export type TextInput =
  { readonly kind: 'get' } | { readonly kind: 'put' | 'append'; readonly value: string };

/** What a get gave; undefined if it is not known, and for all others. */
export type TextOutput = string | undefined;

const EMPTY: TextState = { text: '', hash: 0 };

function appended(state: TextState, value: string): TextState {
  let { hash } = state;
  for (let at = 0; at < value.length; at += 1) {
    hash = (Math.imul(hash, 31) + value.charCodeAt(at)) | 0;
  }
  return { text: state.text + value, hash };
}

export const textModel: Model<TextState, TextInput, TextOutput> = {
  name: 'text',
  init: () => EMPTY,
  step(state, input, output) {
    if (input.kind === 'get') {
      return output === undefined || output === state.text ? state : undefined;
    }
    return appended(input.kind === 'put' ? EMPTY : state, input.value);
  },
  same: (one, other) => one.hash === other.hash && one.text === other.text,
  lost: {
    likeness: (input, output) => JSON.stringify([input, output]),
    isBlind: (input) => input.kind === 'put',
    needs: () => undefined,
    offers: (state) => state.text,
  },
  hash: (state) => state.hash,
  describe: (input, output) =>
    input.kind === 'get'
      ? `get ${output === undefined ? '?' : JSON.stringify(output)}`
      : `${input.kind} ${JSON.stringify(input.value)}`,
  describeState: (state) => JSON.stringify(state.text),
};
