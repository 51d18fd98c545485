/**
 * Files that are there whole or not at all, after a power cut too.
 *
 * In: pieces of bytes and a path. Out: a file with a name that survives: written beside, synced,
 * renamed, and the folder synced. Never writes into a file that has its final name.
 */
import { randomUUID } from 'node:crypto';
import { type Dirent, type Stats } from 'node:fs';
import {
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  rmdir,
  unlink,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrno } from './file-errors.js';

/** Tries against a neighbour that removes a folder while it is being filled. */
const PLACE_ATTEMPTS_MAX = 20;
/** Of one call of the system: a copy of megabytes keeps a processor for milliseconds. */
const WRITE_BYTES = 256 * 1024;

/** A file without its name yet: synced, and to be placed or dropped. */
export interface WrittenFile {
  readonly path: string;
  readonly sizeBytes: number;
}

export async function writeTemporary(
  folder: string,
  pieces: AsyncIterable<Uint8Array>,
): Promise<WrittenFile> {
  const path = join(folder, randomUUID());
  const file = await open(path, 'wx', 0o640);
  let sizeBytes = 0;
  try {
    for await (const piece of pieces) {
      await writeWhole(file, piece);
      sizeBytes += piece.length;
    }
    await file.sync();
  } catch (error) {
    await file.close();
    await rm(path, { force: true });
    throw error;
  }
  await file.close();
  return { path, sizeBytes };
}

/** Gives it its name, over the file that had it. */
export async function placeOver(written: WrittenFile, path: string, root: string): Promise<void> {
  await place(written.path, path, root, () => rename(written.path, path));
}

/** Gives it its name if that is free; else EEXIST, and the file is dropped. */
export async function placeNew(written: WrittenFile, path: string, root: string): Promise<void> {
  await place(written.path, path, root, () => link(written.path, path));
  await unlink(written.path);
}

async function place(
  from: string,
  path: string,
  root: string,
  give: () => Promise<void>,
): Promise<void> {
  try {
    for (let attempt = 1; ; attempt += 1) {
      await makeFolder(dirname(path), root);
      try {
        await give();
        await syncFolder(dirname(path));
        return;
      } catch (error) {
        if (!isErrno(error, 'ENOENT') || attempt === PLACE_ATTEMPTS_MAX) throw error;
      }
    }
  } catch (error) {
    await rm(from, { force: true });
    throw error;
  }
}

/** Makes a folder below a root that is there, and sees that its name survives. */
export async function makeFolder(path: string, root: string): Promise<void> {
  if (path === root) return;
  try {
    await mkdir(path, { mode: 0o750 });
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return;
    if (!isErrno(error, 'ENOENT')) throw error;
    await makeFolder(dirname(path), root);
    await mkdirAgain(path);
  }
  await syncFolder(dirname(path), 'may-be-gone');
}

async function mkdirAgain(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o750 });
  } catch (error) {
    // Gone again, or made by a neighbour: whoever fills the folder finds out and comes back.
    if (!isErrno(error, 'EEXIST', 'ENOENT')) throw error;
  }
}

/** Removes a file, and the folders above it that are left empty, up to the root. */
export async function removeFile(path: string, root: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return;
    throw error;
  }
  await syncFolder(dirname(path), 'may-be-gone');
  for (let folder = dirname(path); folder !== root; folder = dirname(folder)) {
    try {
      await rmdir(folder);
    } catch (error) {
      if (isErrno(error, 'ENOTEMPTY', 'EEXIST')) return;
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
}

export async function syncFolder(path: string, whenGone?: 'may-be-gone'): Promise<void> {
  let folder: FileHandle;
  try {
    folder = await open(path, 'r');
  } catch (error) {
    if (whenGone !== undefined && isErrno(error, 'ENOENT')) return;
    throw error;
  }
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** What is in a folder; nothing, if there is no such folder. */
export async function entriesOf(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Changes whenever another file takes the name. */
export function etagOf({ size, mtimeMs, ino }: Stats): string {
  return `${size.toString(16)}-${Math.round(mtimeMs * 1000).toString(16)}-${ino.toString(16)}`;
}

async function writeWhole(file: FileHandle, piece: Uint8Array): Promise<void> {
  for (let at = 0; at < piece.length;) {
    const { bytesWritten } = await file.write(piece, at, Math.min(WRITE_BYTES, piece.length - at));
    at += bytesWritten;
  }
}
