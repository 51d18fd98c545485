/** The store and the keys of the settings. In: settings. Out: both, or an error that names the setting. */
import { readFileSync } from 'node:fs';
import { KeyRing, parseKey } from '@flotilla/backup';
import { type ObjectStore, openObjectStore } from '@flotilla/object-store';

/** Undefined if there is none. */
export async function openStore(url: string): Promise<ObjectStore | undefined> {
  return url === '' ? undefined : openObjectStore(url);
}

export function openKeys(files: Readonly<Record<string, string>>): KeyRing {
  return new KeyRing(Object.entries(files).map(([id, file]) => parseKey(id, readFileSync(file))));
}
