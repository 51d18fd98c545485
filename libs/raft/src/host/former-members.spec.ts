import { describe, expect, it } from 'vitest';
import { FormerMembers } from './former-members.js';

describe('former members', () => {
  it('may not return in the term in which they left, and may in another', () => {
    const former = new FormerMembers();
    former.changed(3, [1, 2, 3], new Set([1, 2]));
    expect([1, 2, 3, 4].map((node) => former.mayReturn(3, node))).toEqual([
      true,
      true,
      false,
      true,
    ]);
    expect(former.mayReturn(4, 3)).toBe(true);
  });

  it('of several changes in one term are all remembered, and forgotten with the next term', () => {
    const former = new FormerMembers();
    former.changed(3, [1, 2, 3], new Set([1, 2]));
    former.changed(3, [1, 2], new Set([1, 4]));
    expect([2, 3, 4].map((node) => former.mayReturn(3, node))).toEqual([false, false, true]);
    former.changed(5, [1, 4], new Set([1]));
    expect([2, 3, 4].map((node) => former.mayReturn(5, node))).toEqual([true, true, false]);
  });
});
