/**
 * Tells which engine made a folder, so that none opens what is another's.
 *
 * In: a folder and the engine that wants it. Out: nothing, or the refusal that says what to do. An
 * engine that found none of its own files would begin with nothing, beside everything there is.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError } from './engine-error.js';

/** A file that each engine has from its first moment on. */
const FILES = { rocksdb: 'CURRENT', lmdb: 'data.mdb' } as const;

export type FolderEngine = keyof typeof FILES;

export function refuseOtherEngines(directory: string, engine: FolderEngine): void {
  for (const [other, file] of Object.entries(FILES)) {
    if (other === engine || !existsSync(join(directory, file))) continue;
    throw new EngineError(
      'ENGINE_OPEN_FAILED',
      `${directory} holds the tables of the engine ${other}, not of ${engine}: ` +
        `set storage.engine to ${other}, or give this node a folder without data`,
    );
  }
}
