/**
 * A bucket of the fake server: objects, and uploads in parts.
 *
 * In: whole requests' worth of bytes. Out: what is stored, or the fault that S3 would answer with. All
 * is held in memory, or in a folder where there is one; it is there before anything is answered.
 */
import { createHash, randomBytes } from 'node:crypto';
import { compareKeys } from '../../port/keys.js';
import { type FakeDisk } from './fake-disk.js';
import { S3Fault } from './fault.js';

export interface FakeObject {
  readonly key: string;
  readonly bytes: Buffer;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly modifiedAtMs: number;
  /** Headers that come back: metadata and encryption. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface FakePart {
  readonly partNumber: number;
  readonly bytes: Buffer;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly modifiedAtMs: number;
}

export interface FakeUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly startedAtMs: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly parts: Map<number, FakePart>;
}

export class FakeBucket {
  readonly objects = new Map<string, FakeObject>();
  readonly uploads = new Map<string, FakeUpload>();

  constructor(
    private readonly partBytesMin: number,
    private readonly disk?: FakeDisk,
  ) {
    for (const object of disk?.loadObjects() ?? []) this.objects.set(object.key, object);
    for (const upload of disk?.loadUploads() ?? []) this.uploads.set(upload.uploadId, upload);
  }

  put(
    key: string,
    bytes: Buffer,
    headers: Readonly<Record<string, string>>,
    ifAbsent: boolean,
  ): FakeObject {
    return this.store(key, bytes, md5Of(bytes).toString('hex'), headers, ifAbsent);
  }

  find(key: string): FakeObject {
    const object = this.objects.get(key);
    if (object === undefined) throw new S3Fault(404, 'NoSuchKey', 'no such key');
    return object;
  }

  delete(key: string): void {
    this.disk?.dropObject(key);
    this.objects.delete(key);
  }

  list(prefix: string, after: string): FakeObject[] {
    return [...this.objects.values()]
      .filter(({ key }) => key.startsWith(prefix) && (after === '' || compareKeys(key, after) > 0))
      .sort((left, right) => compareKeys(left.key, right.key));
  }

  startUpload(key: string, headers: Readonly<Record<string, string>>): FakeUpload {
    const uploadId = randomBytes(16).toString('base64url');
    const upload = this.disk?.keepUpload(uploadId, { key, headers }) ?? {
      key,
      uploadId,
      startedAtMs: Date.now(),
      headers,
      parts: new Map<number, FakePart>(),
    };
    this.uploads.set(uploadId, upload);
    return upload;
  }

  endUpload({ uploadId }: FakeUpload): void {
    this.disk?.dropUpload(uploadId);
    this.uploads.delete(uploadId);
  }

  findUpload(key: string, uploadId: string): FakeUpload {
    const upload = this.uploads.get(uploadId);
    if (upload?.key === key) return upload;
    throw new S3Fault(404, 'NoSuchUpload', 'no such upload');
  }

  listUploads(prefix: string, keyMarker: string, idMarker: string): FakeUpload[] {
    const isBehind = ({ key, uploadId }: FakeUpload): boolean => {
      const order = compareKeys(key, keyMarker);
      return (
        keyMarker === '' || order > 0 || (order === 0 && idMarker !== '' && uploadId > idMarker)
      );
    };
    return [...this.uploads.values()]
      .filter((upload) => upload.key.startsWith(prefix) && isBehind(upload))
      .sort((left, right) => {
        return compareKeys(left.key, right.key) || (left.uploadId < right.uploadId ? -1 : 1);
      });
  }

  putPart(upload: FakeUpload, partNumber: number, bytes: Buffer): FakePart {
    if (!(partNumber >= 1 && partNumber <= 10_000)) {
      throw new S3Fault(400, 'InvalidArgument', 'part number out of bounds');
    }
    const etag = md5Of(bytes).toString('hex');
    const sizeBytes = bytes.length;
    const part = { partNumber, bytes, sizeBytes, etag, modifiedAtMs: Date.now() };
    upload.parts.set(partNumber, this.disk?.keepPart(upload, part) ?? part);
    return part;
  }

  complete(
    upload: FakeUpload,
    wanted: readonly { readonly partNumber: number; readonly etag: string }[],
    ifAbsent: boolean,
  ): FakeObject {
    if (wanted.length === 0) throw new S3Fault(400, 'MalformedXML', 'no parts');
    const parts = wanted.map(({ partNumber, etag }, at) => {
      const before = wanted[at - 1];
      if (before !== undefined && before.partNumber >= partNumber) {
        throw new S3Fault(400, 'InvalidPartOrder', 'parts out of order');
      }
      const part = upload.parts.get(partNumber);
      if (part?.etag !== etag) throw new S3Fault(400, 'InvalidPart', 'no such part');
      return part;
    });
    for (const { sizeBytes } of parts.slice(0, -1)) {
      if (sizeBytes < this.partBytesMin) {
        throw new S3Fault(400, 'EntityTooSmall', 'a part is too small');
      }
    }
    const sums = Buffer.concat(parts.map(({ etag }) => Buffer.from(etag, 'hex')));
    const etag = `${md5Of(sums).toString('hex')}-${parts.length}`;
    const bytes = Buffer.concat(parts.map((part) => part.bytes));
    const object = this.store(upload.key, bytes, etag, upload.headers, ifAbsent);
    this.endUpload(upload);
    return object;
  }

  private store(
    key: string,
    bytes: Buffer,
    etag: string,
    headers: Readonly<Record<string, string>>,
    ifAbsent: boolean,
  ): FakeObject {
    if (ifAbsent && this.objects.has(key)) {
      throw new S3Fault(412, 'PreconditionFailed', 'there is such an object');
    }
    // Whole seconds, as HTTP dates have them.
    const modifiedAtMs = Math.floor(Date.now() / 1_000) * 1_000;
    const object = this.disk?.keepObject({ key, etag, headers }, bytes) ?? {
      key,
      bytes,
      sizeBytes: bytes.length,
      etag,
      modifiedAtMs,
      headers,
    };
    this.objects.set(key, object);
    return object;
  }
}

function md5Of(bytes: Uint8Array): Buffer {
  return createHash('md5').update(bytes).digest();
}
