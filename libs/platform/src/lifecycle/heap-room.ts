/**
 * Room for the heap to grow in between two full collections.
 *
 * V8 counts memory outside of its heap, such as what is read from sockets, as growth, and begins a full collection
 * (which marks everything that lives, on all cores) once a small heap has grown by some 20 MB. A process that moves
 * 50 MB/s did little else, although young collections alone free all of it.
 *
 * In: how large the heap is. Out: the growth that V8 is told to allow, as a share of it: no less than
 * `ROOM_BYTES`. Large heaps are left to V8.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';

/** Young collections come after 32 MiB outside of the heap, so this is never reached by what they free. */
export const ROOM_BYTES = 64 * 1024 * 1024;
/** V8 itself allows about as much. */
const PERCENT_MIN = 50;
const LOOK_MS = 5_000;

/** What V8's growth has to be, in percent of a heap; 0 leaves it to V8. */
export function growthPercent(heapBytes: number): number {
  const percent = Math.ceil((ROOM_BYTES / Math.max(heapBytes, 1)) * 100);
  return percent < PERCENT_MIN ? 0 : Math.min(percent, 10_000);
}

/** Looks at the heap from time to time, until the function that it gives is called. */
export function leaveRoomToGrow(): () => void {
  const adjust = () => {
    const percent = growthPercent(getHeapStatistics().used_heap_size);
    setFlagsFromString(`--heap-growing-percent=${percent}`);
  };
  adjust();
  const timer = setInterval(adjust, LOOK_MS).unref();
  return () => clearInterval(timer);
}
