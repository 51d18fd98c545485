/**
 * Objects of a bucket, listed and deleted.
 *
 * In: prefixes and keys. Out: pages of what the port calls keys; objects that others named otherwise
 * are passed over, but a page goes on behind them.
 */
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3';
import { type CallScope } from '../port/call-scope.js';
import { hasCode, ObjectStoreError } from '../port/errors.js';
import { isKey } from '../port/keys.js';
import { type DeleteFailure, type ObjectPage } from '../port/object-store.js';
import { type S3Connection } from './s3-connection.js';
import { toS3Error } from './s3-errors.js';
import { bareEtag } from './s3-reading.js';

export async function listObjects(
  connection: S3Connection,
  scope: CallScope,
  begin: string,
  after: string | undefined,
  limit: number,
): Promise<ObjectPage> {
  const { bucket, prefix } = connection.settings;
  const answer = await connection.send(scope, `list ${begin}`, (client, options) => {
    const command = new ListObjectsV2Command({
      Bucket: bucket,
      Prefix: prefix + begin,
      MaxKeys: limit,
      EncodingType: 'url',
      ...(after === undefined ? {} : { StartAfter: prefix + after }),
    });
    return client.send(command, options);
  });
  const all = (answer.Contents ?? []).map(({ Key = '', Size, LastModified, ETag }) => ({
    key: decodeKey(Key, answer.EncodingType).slice(prefix.length),
    sizeBytes: Size ?? 0,
    modifiedAtMs: LastModified?.getTime() ?? 0,
    etag: bareEtag(ETag),
  }));
  const last = all.at(-1);
  if (answer.IsTruncated === true && last === undefined) {
    throw new ObjectStoreError('STORE_FAILED', `list ${begin}: an empty page, and more to come`);
  }
  return {
    objects: all.filter(({ key }) => isKey(key)),
    next: answer.IsTruncated === true ? last?.key : undefined,
  };
}

export async function deleteObject(
  connection: S3Connection,
  scope: CallScope,
  key: string,
): Promise<void> {
  const { bucket, prefix } = connection.settings;
  try {
    await connection.send(scope, `delete ${key}`, (client, options) => {
      return client.send(new DeleteObjectCommand({ Bucket: bucket, Key: prefix + key }), options);
    });
  } catch (error) {
    if (!hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
  }
}

export async function deleteObjects(
  connection: S3Connection,
  scope: CallScope,
  keys: readonly string[],
): Promise<readonly DeleteFailure[]> {
  const failures: DeleteFailure[] = [];
  for (const key of keys.filter((each) => !isInXml(each))) {
    try {
      await deleteObject(connection, scope, key);
    } catch (error) {
      scope.throwIfOver();
      failures.push({ key, error: toS3Error(error, `delete ${key}`) });
    }
  }
  const named = keys.filter(isInXml);
  if (named.length === 0) return failures;
  const { bucket, prefix } = connection.settings;
  const answer = await connection.send(scope, 'deleteMany', (client, options) => {
    const Objects = named.map((key) => ({ Key: prefix + key }));
    const command = new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } });
    return client.send(command, options);
  });
  for (const { Key, Code, Message } of answer.Errors ?? []) {
    if (Code === 'NoSuchKey' || Key === undefined) continue;
    const cause = Object.assign(new Error(Message ?? 'not deleted'), { name: Code ?? 'Error' });
    const key = Key.slice(prefix.length);
    failures.push({ key, error: toS3Error(cause, `delete ${key}`) });
  }
  return failures;
}

/** A space may come as a plus; a plus never comes as itself. */
export function decodeKey(key: string, encoding: string | undefined): string {
  if (encoding !== 'url') return key;
  try {
    return decodeURIComponent(key.replaceAll('+', ' '));
  } catch (error) {
    const message = `the server lists a key that is no UTF-8: ${key}`;
    throw new ObjectStoreError('STORE_FAILED', message, { cause: error });
  }
}

/** Some text no XML can say, and a request to delete many is XML. */
function isInXml(key: string): boolean {
  for (const character of key) {
    const code = character.codePointAt(0) ?? 0;
    if (code === 0xfffe || code === 0xffff) return false;
    if (code < 0x20 && code !== 0x09 && code !== 0x0a && code !== 0x0d) return false;
  }
  return true;
}
