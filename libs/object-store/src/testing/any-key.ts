/**
 * Keys for property tests: of any text, and such as lie close to each other.
 *
 * Out: arbitraries of fast-check, so for tests alone.
 */
import fc from 'fast-check';
import { isKey } from '../port/keys.js';

const NEAR = [
  'a',
  'b',
  '-',
  '.',
  '0',
  '%',
  '+',
  '~',
  ' ',
  'é',
  '\uffee',
  '😀',
  '\n',
  'x'.repeat(79),
];

export function anyKey(): fc.Arbitrary<string> {
  const segment = fc.oneof(
    fc.array(fc.constantFrom(...NEAR), { minLength: 1, maxLength: 4 }).map((each) => each.join('')),
    fc.string({ minLength: 1, maxLength: 12, unit: 'binary' }),
  );
  return fc
    .array(segment, { minLength: 1, maxLength: 3 })
    .map((segments) => segments.join('/'))
    .filter(isKey);
}
