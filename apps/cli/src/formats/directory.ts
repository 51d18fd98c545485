/**
 * A directory tree as rows: path below the root -> content, in order of the paths' bytes.
 *
 * Names are bytes, not text. Only plain files are read; links and other things are told apart and
 * counted, never followed. Writing refuses every key that is not a path below the root.
 */
import { constants } from 'node:fs';
import { mkdir, open, readFile, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { VALUE_BYTES_MAX, whyRefused, type ImportItem, type ItemSource } from './item.js';

const SLASH = Buffer.from('/');

export interface DirectoryCounts {
  /** Links, sockets and the like, which are passed over. */
  skipped: number;
}

export async function* directoryItems(
  root: string,
  counts: DirectoryCounts,
  onBytes: (bytes: number) => void,
): ItemSource {
  const rootBytes = Buffer.from(root);
  // Folders that are still to be read, the next one last.
  const folders: Buffer[] = [Buffer.alloc(0)];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const absolute = folder.length === 0 ? rootBytes : joinBytes(rootBytes, folder);
    const entries = await readdir(absolute, { withFileTypes: true, encoding: 'buffer' });
    entries.sort((a, b) => Buffer.compare(a.name, b.name));
    const below: Buffer[] = [];
    for (const entry of entries) {
      const path = folder.length === 0 ? entry.name : joinBytes(folder, entry.name);
      if (entry.isDirectory()) below.push(path);
      else if (entry.isFile()) yield [await fileItem(joinBytes(rootBytes, path), path, onBytes)];
      else counts.skipped++;
    }
    folders.push(...below.reverse());
  }
}

async function fileItem(
  absolute: Buffer,
  path: Buffer,
  onBytes: (bytes: number) => void,
): Promise<ImportItem> {
  const where = path.toString();
  try {
    const { size } = await stat(absolute);
    // A file that is too large is not read at all.
    const reason = size > VALUE_BYTES_MAX ? whyRefused(path, size) : undefined;
    if (reason !== undefined) return { kind: 'bad', where, reason };
    const value = await readFile(absolute);
    onBytes(value.length);
    return { kind: 'row', key: path, value, where };
  } catch (error) {
    return { kind: 'bad', where, reason: error instanceof Error ? error.message : String(error) };
  }
}

function joinBytes(folder: Buffer, name: Buffer): Buffer {
  return Buffer.concat([folder, SLASH, name]);
}

/** Why the key cannot be a file below a folder; undefined if it can. */
export function whyNoPath(key: Buffer): string | undefined {
  const text = key.toString('latin1');
  if (text.includes('\0')) return 'it holds a zero byte';
  if (text.startsWith('/')) return 'it is an absolute path';
  const parts = text.split('/');
  if (parts.includes('..') || parts.includes('.')) return 'it has a part . or ..';
  if (parts.includes('')) return 'it has an empty part';
  return undefined;
}

/** Writes one file below `root`; a link in its place is not followed. Throws an Error. */
export async function writeFileBelow(root: string, key: Buffer, value: Buffer): Promise<void> {
  const path = joinBytes(Buffer.from(root), key);
  await mkdir(join(root, dirname(key.toString())), { recursive: true });
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  const file = await open(path, flags, 0o644);
  try {
    await file.writeFile(value);
  } finally {
    await file.close();
  }
}
