/** The file system passes what every store has to pass. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeObjectStore } from '../testing/store-compliance.js';
import { FileSystemStore } from './file-system-store.js';

describeObjectStore('file system', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'object-store-'));
  const store = await FileSystemStore.open({ folder });
  return {
    store,
    conditionalWrites: true,
    partBytesMin: 1,
    close: async () => {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
});
