/**
 * Room for the heap to grow in between two full collections.
 *
 * V8 counts memory outside of its heap, such as what is read from sockets, as growth, and begins a full collection
 * (which marks everything that lives, on all cores) once a small heap has grown by some 20 MB. A process that moves
 * 50 MB/s did little else, although young collections alone free nearly all of it.
 *
 * In: how large the heap is, and whether bulk data comes in that is kept in other places as well. Out: the growth that
 * V8 is told to allow, as a share of the heap: no less than the room. Large heaps are left to V8.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Young collections come after 32 MiB outside of the heap, so this is never reached by what they free. */
export const ROOM_BYTES = 64 * 1024 * 1024;
/** While bulk data comes in: it costs a tenth of the CPU of that, and saves 25 MiB. */
export const NARROW_ROOM_BYTES = 24 * 1024 * 1024;
/** V8 itself allows about as much. */
const PERCENT_MIN = 50;
const LOOK_MS = 5_000;
/** A larger heap is not collected on purpose: that would hold the loop for too long. */
const COLLECTED_BYTES_MAX = 128 * 1024 * 1024;
/** After the last of the bulk data. Batches that come over a slow link are no new beginning each. */
const NARROW_MS = 60_000;

/** What V8's growth has to be, in percent of a heap; 0 leaves it to V8. */
export function growthPercent(heapBytes: number, roomBytes: number): number {
  const percent = Math.ceil((roomBytes / Math.max(heapBytes, 1)) * 100);
  return percent < PERCENT_MIN ? 0 : Math.min(percent, 10_000);
}

/** What a process does about its heap; there is one of them at most. */
export class HeapRoom {
  private narrowUntilMs = 0;
  private readonly timer: NodeJS.Timeout;

  /** Looks at the heap from time to time, until it is closed. */
  constructor() {
    this.adjust();
    this.timer = setInterval(() => this.adjust(), LOOK_MS).unref();
  }

  /** Bulk data comes in. The first time in a while, what lies around is collected, so that the room counts from here. */
  narrow(): void {
    const nowMs = performance.now();
    const isNarrow = nowMs < this.narrowUntilMs;
    this.narrowUntilMs = nowMs + NARROW_MS;
    if (isNarrow) return;
    this.adjust();
    if (getHeapStatistics().used_heap_size <= COLLECTED_BYTES_MAX) collect();
  }

  close(): void {
    clearInterval(this.timer);
  }

  private adjust(): void {
    const room = performance.now() < this.narrowUntilMs ? NARROW_ROOM_BYTES : ROOM_BYTES;
    const percent = growthPercent(getHeapStatistics().used_heap_size, room);
    setFlagsFromString(`--heap-growing-percent=${percent}`);
  }
}

/** One full collection: tens of milliseconds for the heap of a node. */
function collect(): void {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  gc();
}
