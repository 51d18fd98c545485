/**
 * Uploads in parts to a bucket.
 *
 * In: parts. Out: an object that is seen once the upload is complete. Each part goes with its MD5,
 * so that the server refuses what was damaged on the way; a part is sent again where that can help,
 * as it takes the place of itself.
 */
import { createHash, randomUUID } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  type Part,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { LIST_PAGE_MAX, PART_NUMBER_MAX } from '../port/bounds.js';
import { type CallScope } from '../port/call-scope.js';
import { hasCode, ObjectStoreError } from '../port/errors.js';
import { isKey } from '../port/keys.js';
import {
  type ObjectInfo,
  type UnfinishedUpload,
  type UploadedPart,
  type UploadsMark,
  type UploadsPage,
} from '../port/object-store.js';
import { decodeKey } from './s3-listing.js';
import { type S3Connection } from './s3-connection.js';
import { bareEtag, headObject, type S3Head } from './s3-reading.js';

/** Tells a write that was carried out from the same write of somebody else. */
export const WRITE_ID = 'write-id';

export interface UploadName {
  readonly key: string;
  readonly uploadId: string;
  /** Of an upload that was begun here. */
  readonly writeId?: string;
}

interface PartState {
  readonly part: UploadedPart;
  readonly modifiedAtMs: number;
}

export class S3Uploads {
  constructor(private readonly connection: S3Connection) {}

  /** Begun twice by a lost answer, the first one is a leftover. */
  async start(scope: CallScope, key: string): Promise<UploadName> {
    const writeId = randomUUID();
    const answer = await this.connection.send(scope, `startUpload ${key}`, (client, options) => {
      const command = new CreateMultipartUploadCommand({
        ...this.nameOf(key),
        ...this.connection.encryption,
        Metadata: { [WRITE_ID]: writeId },
      });
      return client.send(command, options);
    });
    const { UploadId: uploadId } = answer;
    if (uploadId !== undefined) return { key, uploadId, writeId };
    throw new ObjectStoreError('STORE_FAILED', `startUpload ${key}: no upload id in the answer`);
  }

  async putPart(
    scope: CallScope,
    { key, uploadId }: UploadName,
    partNumber: number,
    bytes: Uint8Array,
  ): Promise<UploadedPart> {
    const md5 = createHash('md5').update(bytes).digest();
    const what = `putPart ${partNumber} of ${key}`;
    const answer = await this.connection.send(scope, what, (client, options) => {
      const command = new UploadPartCommand({
        ...this.nameOf(key),
        UploadId: uploadId,
        PartNumber: partNumber,
        Body: bytes,
        ContentLength: bytes.length,
        ContentMD5: md5.toString('base64'),
      });
      return client.send(command, options);
    });
    scope.renew();
    const etag = bareEtag(answer.ETag);
    return { partNumber, sizeBytes: bytes.length, etag, md5Hex: md5.toString('hex') };
  }

  async listParts(scope: CallScope, upload: UploadName): Promise<UploadedPart[]> {
    return (await this.partStates(scope, upload)).map(({ part }) => part);
  }

  /** When something was last done about an upload, as far as the server tells. */
  async changedAtMs(scope: CallScope, upload: UnfinishedUpload): Promise<number> {
    const states = await this.partStates(scope, upload);
    return Math.max(upload.startedAtMs, ...states.map(({ modifiedAtMs }) => modifiedAtMs));
  }

  /** Ends in `UPLOAD_NOT_FOUND` if it is over. */
  async find(scope: CallScope, upload: UploadName): Promise<void> {
    await this.partsPage(scope, upload, undefined, 1);
  }

  complete(
    scope: CallScope,
    upload: UploadName,
    parts: readonly UploadedPart[],
    ifAbsent: boolean,
  ): Promise<ObjectInfo> {
    return this.connection.sendKnowing(scope, async ({ mayBeDone }) => {
      try {
        return await this.completeOnce(scope, upload, parts, ifAbsent);
      } catch (error) {
        const lost = hasCode(error, 'UPLOAD_NOT_FOUND', 'OBJECT_CHANGED');
        const done = lost && mayBeDone ? await this.findDone(scope, upload, parts) : undefined;
        if (done !== undefined) return done;
        throw hasCode(error, 'OBJECT_CHANGED') ? existsError(upload.key, error) : error;
      }
    });
  }

  async abort(scope: CallScope, { key, uploadId }: UploadName): Promise<void> {
    try {
      await this.connection.send(scope, `abort ${key}`, (client, options) => {
        const command = new AbortMultipartUploadCommand({
          ...this.nameOf(key),
          UploadId: uploadId,
        });
        return client.send(command, options);
      });
    } catch (error) {
      if (!hasCode(error, 'UPLOAD_NOT_FOUND', 'OBJECT_NOT_FOUND')) throw error;
    }
  }

  async list(
    scope: CallScope,
    begin: string,
    after: UploadsMark | undefined,
    limit: number,
  ): Promise<UploadsPage> {
    const { bucket, prefix } = this.connection.settings;
    const answer = await this.connection.send(scope, `listUploads ${begin}`, (client, options) => {
      const command = new ListMultipartUploadsCommand({
        Bucket: bucket,
        Prefix: prefix + begin,
        MaxUploads: limit,
        EncodingType: 'url',
        ...(after === undefined
          ? {}
          : { KeyMarker: prefix + after.key, UploadIdMarker: after.uploadId }),
      });
      return client.send(command, options);
    });
    const all = (answer.Uploads ?? []).flatMap(({ Key, UploadId, Initiated }) => {
      if (Key === undefined || UploadId === undefined) return [];
      const key = decodeKey(Key, answer.EncodingType).slice(prefix.length);
      return [{ key, uploadId: UploadId, startedAtMs: Initiated?.getTime() ?? 0 }];
    });
    const last = all.at(-1);
    const more = answer.IsTruncated === true && last !== undefined;
    return {
      uploads: all.filter(({ key }) => isKey(key)),
      next: more ? { key: last.key, uploadId: last.uploadId } : undefined,
    };
  }

  private async completeOnce(
    scope: CallScope,
    { key, uploadId }: UploadName,
    parts: readonly UploadedPart[],
    ifAbsent: boolean,
  ): Promise<ObjectInfo> {
    const answer = await this.connection.sendOnce(scope, `complete ${key}`, (client, options) => {
      const command = new CompleteMultipartUploadCommand({
        ...this.nameOf(key),
        UploadId: uploadId,
        MultipartUpload: {
          Parts: parts.map(({ partNumber, etag }) => ({
            PartNumber: partNumber,
            ETag: `"${etag}"`,
          })),
        },
        ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
      });
      return client.send(command, options);
    });
    const sizeBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
    return { key, sizeBytes, modifiedAtMs: Date.now(), etag: bareEtag(answer.ETag) };
  }

  /** The object of this very upload, if an earlier try made it. */
  private async findDone(
    scope: CallScope,
    { key, writeId }: UploadName,
    parts: readonly UploadedPart[],
  ): Promise<ObjectInfo | undefined> {
    let head: S3Head;
    try {
      head = await headObject(this.connection, scope, key);
    } catch (error) {
      if (hasCode(error, 'OBJECT_NOT_FOUND')) return undefined;
      throw error;
    }
    const isOurs =
      writeId === undefined
        ? head.info.etag === etagOfParts(parts)
        : head.metadata[WRITE_ID] === writeId;
    return isOurs ? head.info : undefined;
  }

  private async partStates(scope: CallScope, upload: UploadName): Promise<PartState[]> {
    const states: PartState[] = [];
    let marker: string | undefined;
    do {
      const page = await this.partsPage(scope, upload, marker, LIST_PAGE_MAX);
      states.push(...(page.Parts ?? []).flatMap(stateOf));
      const next = page.IsTruncated === true ? page.NextPartNumberMarker : undefined;
      if (states.length > PART_NUMBER_MAX || (next !== undefined && next === marker)) {
        throw new ObjectStoreError('STORE_FAILED', `listParts of ${upload.key} has no end`);
      }
      marker = next;
    } while (marker !== undefined);
    return states;
  }

  private partsPage(
    scope: CallScope,
    { key, uploadId }: UploadName,
    marker: string | undefined,
    limit: number,
  ) {
    return this.connection.send(scope, `listParts of ${key}`, (client, options) => {
      const command = new ListPartsCommand({
        ...this.nameOf(key),
        UploadId: uploadId,
        MaxParts: limit,
        ...(marker === undefined ? {} : { PartNumberMarker: marker }),
      });
      return client.send(command, options);
    });
  }

  private nameOf(key: string): { Bucket: string; Key: string } {
    const { bucket, prefix } = this.connection.settings;
    return { Bucket: bucket, Key: prefix + key };
  }
}

export function existsError(key: string, cause: unknown): ObjectStoreError {
  const message = `there is an object ${JSON.stringify(key)} already`;
  return new ObjectStoreError('OBJECT_EXISTS', message, { cause });
}

function stateOf({ PartNumber, Size, ETag, LastModified }: Part): PartState[] {
  if (PartNumber === undefined) return [];
  const etag = bareEtag(ETag);
  // Of encrypted parts it may be something else that looks like one: then the part is sent again.
  const md5Hex = /^[0-9a-f]{32}$/.test(etag) ? etag : undefined;
  const part = { partNumber: PartNumber, sizeBytes: Size ?? 0, etag, md5Hex };
  return [{ part, modifiedAtMs: LastModified?.getTime() ?? 0 }];
}

function etagOfParts(parts: readonly UploadedPart[]): string {
  const hash = createHash('md5');
  for (const { etag } of parts) hash.update(Buffer.from(etag, 'hex'));
  return `${hash.digest('hex')}-${parts.length}`;
}
