/**
 * A store from its URL.
 *
 * In: a URL and what is kept apart from it. Out: an open store, to be closed by the caller. The
 * client of S3 is loaded only where a bucket is named: it is many times larger than all else here.
 */
import { FileSystemStore } from '../file-system/file-system-store.js';
import { type ObjectStore } from '../port/object-store.js';
import { type ObjectStoreSecrets, parseObjectStoreUrl } from './object-store-url.js';

export async function openObjectStore(
  url: string,
  secrets: ObjectStoreSecrets = {},
): Promise<ObjectStore> {
  const location = parseObjectStoreUrl(url, secrets);
  if (location.kind === 'file-system') return await FileSystemStore.open(location);
  const { S3Store } = await import('../s3/s3-store.js');
  return new S3Store(location.settings);
}
