/**
 * A page of unfinished uploads, where a store has them all at hand.
 *
 * In: every upload, in any order. Out: those of a prefix behind a mark, by key and then id.
 */
import { compareKeys } from './keys.js';
import { type UnfinishedUpload, type UploadsMark, type UploadsPage } from './object-store.js';

export function pageOfUploads(
  all: readonly UnfinishedUpload[],
  prefix: string,
  after: UploadsMark | undefined,
  limit: number,
): UploadsPage {
  const wanted = all
    .filter(({ key }) => key.startsWith(prefix))
    .filter((upload) => after === undefined || compareUploads(upload, after) > 0)
    .sort(compareUploads);
  const uploads = wanted.slice(0, limit);
  const last = uploads.at(-1);
  const more = wanted.length > limit && last !== undefined;
  return { uploads, next: more ? { key: last.key, uploadId: last.uploadId } : undefined };
}

function compareUploads(left: UploadsMark, right: UploadsMark): number {
  return compareKeys(left.key, right.key) || compareKeys(left.uploadId, right.uploadId);
}
