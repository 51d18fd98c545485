import { describe, expect, it } from 'vitest';
import { TABLE_NAME_BYTES_MAX, whyNameInvalid } from './table-name.js';

describe('the name of a table', () => {
  it.each(['a', 'regatta-test', 'applicable-device-secure-policy', 'a.b_c:d 1', 'größe', '...'])(
    '%j is fine',
    (name) => expect(whyNameInvalid(name)).toBeUndefined(),
  );

  it.each([
    ['', 'name must be set'],
    ['a/b', 'slashes'],
    ['..\\x', 'slashes'],
    ['..', 'must not be ".."'],
    ['.', 'must not be "."'],
    ['a\0b', 'control'],
    ['a\n', 'control'],
    ['\u0085', 'control'],
    [' a', 'white space'],
    ['ü'.repeat(TABLE_NAME_BYTES_MAX / 2 + 1), 'at most 255 bytes'],
  ])('%j is refused, and the text names the field', (name, reason) => {
    expect(whyNameInvalid(name)).toContain(reason);
    expect(whyNameInvalid(name)).toMatch(/^name /);
  });
});
