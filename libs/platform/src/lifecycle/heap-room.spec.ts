import { describe, expect, it, vi } from 'vitest';
import { growthPercent, HeapRoom, NARROW_ROOM_BYTES, ROOM_BYTES } from './heap-room.js';

const MIB = 1024 * 1024;
const HELD = 64;
/** Time enough for a busy machine. */
const WAIT = { timeout: 60_000 };

describe('the room of a heap', () => {
  it('is no less than so many bytes for a small one, and what V8 gives for a large one', () => {
    for (const room of [NARROW_ROOM_BYTES, ROOM_BYTES]) {
      for (const heap of [5 * MIB, 20 * MIB, 40 * MIB]) {
        const growth = (heap * growthPercent(heap, room)) / 100;
        expect(growth).toBeGreaterThanOrEqual(room);
        expect(growth).toBeLessThan(room + MIB);
      }
      expect(growthPercent(500 * MIB, room)).toBe(0);
      expect(growthPercent(0, room)).toBeLessThanOrEqual(10_000);
    }
  });

  it('is empty when bulk data begins to come in', async () => {
    const room = new HeapRoom();
    try {
      const held: Buffer[] = [];
      for (let nth = 0; nth < HELD; nth++) held.push(Buffer.allocUnsafeSlow(MIB).fill(1));
      const heldBytes = process.memoryUsage().arrayBuffers;
      expect(heldBytes).toBeGreaterThan(HELD * MIB);
      held.length = 0;
      room.narrow();
      // What was collected is given back by another thread.
      await vi.waitFor(() => {
        expect(process.memoryUsage().arrayBuffers).toBeLessThan(heldBytes - (HELD * MIB) / 2);
      }, WAIT);
    } finally {
      room.close();
    }
  });
});
