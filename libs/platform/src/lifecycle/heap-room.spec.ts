import { describe, expect, it } from 'vitest';
import { growthPercent, ROOM_BYTES } from './heap-room.js';

const MIB = 1024 * 1024;

describe('the room of a heap', () => {
  it('is no less than so many bytes for a small one, and what V8 gives for a large one', () => {
    for (const heap of [5 * MIB, 35 * MIB, 100 * MIB]) {
      expect((heap * growthPercent(heap)) / 100).toBeGreaterThanOrEqual(ROOM_BYTES);
    }
    expect(growthPercent(500 * MIB)).toBe(0);
    expect(growthPercent(0)).toBeLessThanOrEqual(10_000);
  });
});
