/** The store and the keys of the settings. In: settings. Out: both, or an error that names the setting. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { BackupError, KeyRing, parseKey } from '@flotilla/backup';
import { FileSystemStore, type ObjectStore } from '@flotilla/object-store';

/** Undefined if there is none. */
export async function openStore(url: string): Promise<ObjectStore | undefined> {
  if (url === '') return undefined;
  const parsed = new URL(url);
  if (parsed.protocol === 'file:') {
    return FileSystemStore.open({ folder: fileURLToPath(parsed) });
  }
  throw new BackupError('INVALID', `backup.store: there is no store for ${parsed.protocol}`);
}

export function openKeys(files: Readonly<Record<string, string>>): KeyRing {
  return new KeyRing(Object.entries(files).map(([id, file]) => parseKey(id, readFileSync(file))));
}
