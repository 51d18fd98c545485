/**
 * Pushes RocksDB's write-ahead log to disk on the thread pool, ahead of a synced write.
 *
 * In: the directory of an open database. Out: all log files that existed at the call are on disk.
 * A synced write blocks the event loop for as long as the disk takes for everything unsynced, up to
 * a memtable of data; after this it finds next to nothing left. Durability itself rests on the
 * synced write: this must never be taken for it, and a file that vanishes meanwhile (its data went
 * into a sorted file) is no error.
 */
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../engine-error.js';

const WAL_FILE = /^\d+\.log$/;

function isMissingFile(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

async function flushFile(path: string): Promise<void> {
  try {
    const file = await open(path, 'r+');
    try {
      await file.datasync();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isMissingFile(error)) return;
    const reason = error instanceof Error ? error.message : String(error);
    throw new EngineError('ENGINE_IO', `${path}: ${reason}`, { cause: error });
  }
}

export async function flushWalFiles(directory: string): Promise<void> {
  const names = await readdir(directory);
  for (const name of names.filter((candidate) => WAL_FILE.test(candidate)).sort()) {
    await flushFile(join(directory, name));
  }
}
