/** The memory of a search forgets nothing, and takes no two configurations for one. */
import { describe, expect, it } from 'vitest';
import { registerModel, type RegisterValue } from '../models/register-model.js';
import { type Configuration, Visited, withReturned } from './configuration.js';

const at = (fields: Partial<Configuration<RegisterValue>>): Configuration<RegisterValue> => ({
  front: 0,
  ahead: [],
  used: [],
  state: null,
  ...fields,
});
const memory = () => new Visited<RegisterValue>(registerModel);

describe('what was there before', () => {
  it('is a configuration with the same set and state', () => {
    const visited = memory();
    expect(visited.add(at({ ahead: [2, 3], state: 1 }))).toBe(true);
    expect(visited.add(at({ ahead: [2, 3], state: 1 }))).toBe(false);
    expect(visited.add(at({ ahead: [2, 3], state: 2 }))).toBe(true);
    expect(visited.add(at({ ahead: [2], state: 1 }))).toBe(true);
    expect(visited.size).toBe(3);
  });

  it('covers one that used up more of what was lost, and no other', () => {
    const visited = memory();
    expect(visited.add(at({ used: [1, 4] }))).toBe(true);
    expect(visited.add(at({ used: [1, 2, 4] }))).toBe(false);
    expect(visited.add(at({ used: [1, 2] }))).toBe(true);
    expect(visited.add(at({ used: [4] }))).toBe(true);
    expect(visited.add(at({ used: [2, 4] }))).toBe(false);
  });

  it('is not one with another set ahead whose hash is the same by chance', () => {
    // So many that the hash, of 32 bits, meets itself more than once.
    const visited = memory();
    const count = 400_000;
    for (let id = 0; id < count; id += 1) {
      const ahead = [0x9e3779b1, 0x85ebca6b].map((factor) => Math.imul(id, factor) >>> 0);
      visited.add(at({ ahead }));
    }
    expect(visited.size).toBe(count);
  });
});

it('a set is written in one way: what is below the front is in it', () => {
  const both = withReturned(withReturned(at({}), 2, 1), 1, 2);
  expect(both).toEqual(at({ ahead: [1, 2], state: 2 }));
  expect(withReturned(both, 0, 3)).toEqual(at({ front: 3, state: 3 }));
  expect(withReturned(withReturned(at({}), 4, 1), 0, 1)).toEqual(
    at({ front: 1, ahead: [4], state: 1 }),
  );
});
