/**
 * A register that is read, written, and changed by compare-and-set.
 *
 * In: one operation with what it gave. Out: the value after it. A compare-and-set that was answered
 * says whether it succeeded, and then its comparison is a read of the register as well.
 */
import { type Model } from '../checker/operation.js';

export type RegisterValue = number | null;

export type RegisterInput =
  | { readonly kind: 'read' }
  | { readonly kind: 'write'; readonly value: RegisterValue }
  | { readonly kind: 'cas'; readonly expected: RegisterValue; readonly value: RegisterValue };

export type RegisterOutput =
  | { readonly kind: 'read'; readonly value: RegisterValue }
  /** It was done: what is said of a write, and of a compare-and-set that changed the value. */
  | { readonly kind: 'done' }
  /** The comparison of a compare-and-set was false. */
  | { readonly kind: 'differed' }
  | { readonly kind: 'unknown' };

export const registerModel: Model<RegisterValue, RegisterInput, RegisterOutput> = {
  name: 'register',
  init: () => null,
  step(state, input, output) {
    if (input.kind === 'write') return input.value;
    if (input.kind === 'read') {
      return output.kind === 'read' && output.value !== state ? undefined : state;
    }
    const isEqual = state === input.expected;
    if (output.kind === 'differed') return isEqual ? undefined : state;
    return isEqual ? input.value : undefined;
  },
  lost: {
    likeness: (input, output) => JSON.stringify([input, output]),
    isBlind: (input) => input.kind === 'write',
    needs: (input) => (input.kind === 'cas' ? String(input.expected) : undefined),
    offers: String,
  },
  hash: (state) => state ?? -1,
  describe(input, output) {
    if (input.kind === 'read') return `read ${output.kind === 'read' ? output.value : '?'}`;
    const end = output.kind === 'unknown' ? ' ?' : '';
    if (input.kind === 'write') return `write ${input.value}${end}`;
    const differed = output.kind === 'differed' ? ' (differed)' : '';
    return `cas ${input.expected} -> ${input.value}${differed}${end}`;
  },
  describeState: (state) => String(state),
};
