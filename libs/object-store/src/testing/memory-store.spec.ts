/** The store in memory passes what every store has to pass, with and without conditional writes. */
import { MemoryStore } from './memory-store.js';
import { describeObjectStore } from './store-compliance.js';

for (const conditionalWrites of [true, false]) {
  describeObjectStore(`memory, conditional writes: ${conditionalWrites}`, async () => {
    const store = new MemoryStore({ conditionalWrites });
    return { store, conditionalWrites, partBytesMin: 1, close: () => store.close() };
  });
}
