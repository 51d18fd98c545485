/**
 * Whether a server honours `If-None-Match: *`, asked once.
 *
 * In: a bucket. Out: yes only if a second write of the same key is refused, at once and in parts:
 * there are servers that accept the header and take no notice. Leaves nothing behind; between its
 * first and last request there is one small object under `PROBE_FOLDER`.
 */
import { randomUUID } from 'node:crypto';
import { type CallScope } from '../port/call-scope.js';
import { hasCode } from '../port/errors.js';
import { deleteObject } from './s3-listing.js';
import { type S3Connection } from './s3-connection.js';
import { type S3Uploads } from './s3-uploads.js';

export const PROBE_FOLDER = 'probe-conditional-writes';

type Put = (key: string, bytes: Uint8Array) => Promise<unknown>;

export async function probeConditionalWrites(
  connection: S3Connection,
  uploads: S3Uploads,
  scope: CallScope,
  putIfAbsent: Put,
): Promise<boolean> {
  const key = `${PROBE_FOLDER}/${randomUUID()}`;
  const bytes = Buffer.from('written once');
  try {
    if (!(await isOffered(() => putIfAbsent(key, bytes)))) return false;
    if (!(await isRefused(() => putIfAbsent(key, bytes)))) return false;
    const upload = await uploads.start(scope, key);
    try {
      const part = await uploads.putPart(scope, upload, 1, bytes);
      return await isRefused(() => uploads.complete(scope, upload, [part], true));
    } finally {
      await uploads.abort(scope, upload);
    }
  } finally {
    await deleteObject(connection, scope, key);
  }
}

async function isOffered(write: () => Promise<unknown>): Promise<boolean> {
  try {
    await write();
    return true;
  } catch (error) {
    if (hasCode(error, 'STORE_UNSUPPORTED', 'STORE_INVALID')) return false;
    throw error;
  }
}

async function isRefused(write: () => Promise<unknown>): Promise<boolean> {
  try {
    await write();
    return false;
  } catch (error) {
    if (hasCode(error, 'OBJECT_EXISTS')) return true;
    if (hasCode(error, 'STORE_UNSUPPORTED', 'STORE_INVALID')) return false;
    throw error;
  }
}
