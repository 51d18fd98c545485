/** Every key has a path of its own, below the folder, and comes back from it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkKey, compareKeys } from '../port/keys.js';
import { anyKey } from '../testing/any-key.js';
import { isFolderName, keyOfPath, pathOfKey } from './key-paths.js';

describe('paths of keys', () => {
  it('a key comes back from its path, whatever bytes it has', () => {
    fc.assert(
      fc.property(anyKey(), (key) => {
        expect(keyOfPath(pathOfKey(checkKey(key)))).toBe(key);
      }),
      { numRuns: 500 },
    );
  });

  it('a component is a name that any file system takes, and never leads out', () => {
    fc.assert(
      fc.property(anyKey(), (key) => {
        const path = pathOfKey(key);
        for (const [at, name] of path.entries()) {
          expect(name).toMatch(/^[a-zA-Z0-9._\-=@,%+~]{1,255}$/);
          expect(name.startsWith('.')).toBe(false);
          expect(isFolderName(name)).toBe(at < path.length - 1);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('no two keys share a path, nor is the file of one a folder of another', () => {
    fc.assert(
      fc.property(fc.uniqueArray(anyKey(), { maxLength: 40 }), (keys) => {
        const files = new Set(keys.map((key) => pathOfKey(key).join('/')));
        expect(files.size).toBe(keys.length);
        for (const key of keys) {
          const path = pathOfKey(key);
          for (let length = 1; length < path.length; length += 1) {
            expect(files.has(path.slice(0, length).join('/'))).toBe(false);
          }
        }
      }),
    );
  });

  it('keys are in the order of their bytes', () => {
    expect(['😀', '\uffee', 'b', 'a/b', 'a-b', 'a'].sort(compareKeys)).toEqual([
      'a',
      'a-b',
      'a/b',
      'b',
      '\uffee',
      '😀',
    ]);
  });
});
