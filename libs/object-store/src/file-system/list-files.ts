/**
 * The objects below a folder, in the order of their keys.
 *
 * In: a prefix, a key to begin behind, a limit. Out: a page. Only folders that can hold keys of the
 * page are read. What was removed while the page was made is left out; files that this store did
 * not make are passed over.
 */
import { type Dirent } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ObjectStoreError } from '../port/errors.js';
import { type ObjectInfo, type ObjectPage } from '../port/object-store.js';
import { entriesOf, etagOf } from './durable-files.js';
import { isErrno } from './file-errors.js';
import { bytesOfName, isFolderName } from './key-paths.js';

/** They are sorted in memory. */
const FOLDER_ENTRIES_MAX = 1_000_000;

interface Wanted {
  readonly prefix: Buffer;
  readonly after: Buffer | undefined;
  readonly limit: number;
  readonly signal: AbortSignal;
}

interface Entry {
  readonly path: string;
  /** A file's key, or what all keys of a folder begin with. */
  readonly bytes: Buffer;
  readonly isFolder: boolean;
}

export async function listFiles(root: string, wanted: Wanted): Promise<ObjectPage> {
  const objects: ObjectInfo[] = [];
  for await (const info of walk(root, Buffer.alloc(0), wanted)) {
    if (objects.length === wanted.limit) return { objects, next: objects.at(-1)?.key };
    objects.push(info);
  }
  return { objects, next: undefined };
}

async function* walk(folder: string, begin: Buffer, wanted: Wanted): AsyncGenerator<ObjectInfo> {
  wanted.signal.throwIfAborted();
  for (const entry of await sortedEntries(folder, begin)) {
    if (!mayHold(entry, wanted)) continue;
    if (entry.isFolder) {
      yield* walk(entry.path, entry.bytes, wanted);
    } else {
      const info = await infoOf(entry.path, entry.bytes.toString());
      if (info !== undefined) yield info;
    }
  }
}

async function sortedEntries(folder: string, begin: Buffer): Promise<Entry[]> {
  const found = await entriesOf(folder);
  if (found.length > FOLDER_ENTRIES_MAX) {
    const message = `${folder} has ${found.length} entries, more than ${FOLDER_ENTRIES_MAX}`;
    throw new ObjectStoreError('STORE_FAILED', message);
  }
  const entries = found.flatMap((each) => entryOf(folder, begin, each));
  return entries.sort((left, right) => Buffer.compare(left.bytes, right.bytes));
}

function entryOf(folder: string, begin: Buffer, dirent: Dirent): Entry[] {
  const { name } = dirent;
  const isFolder = isFolderName(name);
  if (isFolder ? !dirent.isDirectory() : !dirent.isFile()) return [];
  let bytes: Buffer;
  try {
    bytes = Buffer.concat([begin, bytesOfName(name)]);
  } catch (error) {
    // Somebody else's file, such as lost+found or a note to self: no object.
    if (error instanceof ObjectStoreError) return [];
    throw error;
  }
  return [{ path: join(folder, name), bytes, isFolder }];
}

function mayHold({ bytes, isFolder }: Entry, { prefix, after }: Wanted): boolean {
  const common = Math.min(bytes.length, prefix.length);
  if (Buffer.compare(bytes.subarray(0, common), prefix.subarray(0, common)) !== 0) return false;
  if (!isFolder && bytes.length < prefix.length) return false;
  if (after === undefined) return true;
  // The keys of a folder all begin with its bytes: they lie behind `after` if these do, or may if
  // `after` begins with them too.
  const start = isFolder ? after.subarray(0, bytes.length) : after;
  const order = Buffer.compare(bytes, start);
  return isFolder ? order >= 0 : order > 0;
}

export async function infoOf(path: string, key: string): Promise<ObjectInfo | undefined> {
  try {
    const stats = await stat(path);
    if (!stats.isFile()) return undefined;
    const { size: sizeBytes, mtimeMs } = stats;
    return { key, sizeBytes, modifiedAtMs: Math.floor(mtimeMs), etag: etagOf(stats) };
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
