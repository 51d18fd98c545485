/**
 * Uploads in parts on a file system: a folder each, found again after a crash.
 *
 *   uploads/<id>/upload.json    the key and when it began; written before the folder has its name
 *   uploads/<id>/00007-<md5>    a part, whole
 *
 * In: parts. Out: a file made of them, to be given its name by the store. A part is held against
 * its MD5 when it is read for that: damage ends in `OBJECT_CORRUPT`, never in an object.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ObjectStoreError } from '../port/errors.js';
import { type UnfinishedUpload, type UploadedPart } from '../port/object-store.js';
import {
  entriesOf,
  makeFolder,
  placeOver,
  removeFile,
  syncFolder,
  writeTemporary,
  type WrittenFile,
} from './durable-files.js';
import { isErrno } from './file-errors.js';

const ABOUT = 'upload.json';
const UPLOAD_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const PART_NAME = /^(\d{5})-([0-9a-f]{32})$/;

interface About {
  readonly key: string;
  readonly startedAtMs: number;
}

export class FileUploads {
  constructor(
    private readonly folder: string,
    private readonly temporary: string,
  ) {}

  async start(key: string): Promise<string> {
    const uploadId = randomUUID();
    const about: About = { key, startedAtMs: Date.now() };
    const unnamed = join(this.temporary, uploadId);
    await makeFolder(unnamed, this.temporary);
    const written = await writeTemporary(this.temporary, once(Buffer.from(JSON.stringify(about))));
    await placeOver(written, join(unnamed, ABOUT), unnamed);
    await rename(unnamed, this.folderOf(uploadId));
    await syncFolder(this.folder);
    return uploadId;
  }

  /** Its key, or `UPLOAD_NOT_FOUND`. */
  async find(uploadId: string): Promise<UnfinishedUpload> {
    const about = UPLOAD_ID.test(uploadId) ? await this.readAbout(uploadId) : undefined;
    if (about === undefined) throw notFound(uploadId);
    return { ...about, uploadId };
  }

  async list(): Promise<UnfinishedUpload[]> {
    const found: UnfinishedUpload[] = [];
    for (const { name } of await entriesOf(this.folder)) {
      const about = UPLOAD_ID.test(name) ? await this.readAbout(name) : undefined;
      if (about !== undefined) found.push({ ...about, uploadId: name });
    }
    return found;
  }

  async putPart(uploadId: string, partNumber: number, bytes: Uint8Array): Promise<UploadedPart> {
    const md5Hex = createHash('md5').update(bytes).digest('hex');
    const name = partName(partNumber, md5Hex);
    const folder = this.folderOf(uploadId);
    const written = await writeTemporary(this.temporary, once(bytes));
    try {
      await rename(written.path, join(folder, name));
      await syncFolder(folder);
    } catch (error) {
      await rm(written.path, { force: true });
      throw isErrno(error, 'ENOENT') ? notFound(uploadId) : error;
    }
    await this.removeReplaced(folder, name);
    return { partNumber, sizeBytes: bytes.length, etag: md5Hex, md5Hex };
  }

  async listParts(uploadId: string): Promise<UploadedPart[]> {
    await this.find(uploadId);
    const byNumber = new Map<number, { part: UploadedPart; changedAtMs: number }>();
    for (const { name } of await entriesOf(this.folderOf(uploadId))) {
      const [, number, md5Hex] = PART_NAME.exec(name) ?? [];
      if (number === undefined || md5Hex === undefined) continue;
      const stats = await stat(join(this.folderOf(uploadId), name));
      const partNumber = Number(number);
      // Two of one number: a crash came between the new one and the removal of the old one.
      if ((byNumber.get(partNumber)?.changedAtMs ?? -1) > stats.ctimeMs) continue;
      const part = { partNumber, sizeBytes: stats.size, etag: md5Hex, md5Hex };
      byNumber.set(partNumber, { part, changedAtMs: stats.ctimeMs });
    }
    const parts = [...byNumber.values()].map(({ part }) => part);
    return parts.sort((left, right) => left.partNumber - right.partNumber);
  }

  /** One file of all parts, without a name yet. */
  async join(
    uploadId: string,
    parts: readonly UploadedPart[],
    signal: AbortSignal,
  ): Promise<WrittenFile> {
    await this.find(uploadId);
    return await writeTemporary(this.temporary, this.bytesOf(uploadId, parts, signal));
  }

  async remove(uploadId: string): Promise<void> {
    if (!UPLOAD_ID.test(uploadId)) return;
    // Without what it is about it is no upload any more, wherever the removal is cut.
    await removeFile(join(this.folderOf(uploadId), ABOUT), this.folderOf(uploadId));
    await rm(this.folderOf(uploadId), { recursive: true, force: true });
    await syncFolder(this.folder);
  }

  /** When something was last done about it; undefined if it is gone. */
  async changedAtMs(uploadId: string): Promise<number | undefined> {
    try {
      return (await stat(this.folderOf(uploadId))).mtimeMs;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  /** All folders of uploads, those that a cut removal left included. */
  async folders(): Promise<string[]> {
    const entries = await entriesOf(this.folder);
    return entries.map(({ name }) => name).filter((name) => UPLOAD_ID.test(name));
  }

  private async *bytesOf(
    uploadId: string,
    parts: readonly UploadedPart[],
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    for (const { partNumber, etag } of parts) {
      const hash = createHash('md5');
      const path = join(this.folderOf(uploadId), partName(partNumber, etag));
      try {
        for await (const piece of createReadStream(path, { signal }) as AsyncIterable<Buffer>) {
          hash.update(piece);
          yield piece;
        }
      } catch (error) {
        if (!isErrno(error, 'ENOENT')) throw error;
        await this.find(uploadId);
        const message = `part ${partNumber} of upload ${uploadId} is not there, or not so`;
        throw new ObjectStoreError('STORE_INVALID', message, { cause: error });
      }
      if (hash.digest('hex') !== etag) {
        const message = `part ${partNumber} of upload ${uploadId} has changed on the disk`;
        throw new ObjectStoreError('OBJECT_CORRUPT', message);
      }
    }
  }

  private async removeReplaced(folder: string, kept: string): Promise<void> {
    for (const { name } of await entriesOf(folder)) {
      if (name === kept || !PART_NAME.test(name) || !name.startsWith(kept.slice(0, 6))) continue;
      await rm(join(folder, name), { force: true });
    }
  }

  private async readAbout(uploadId: string): Promise<About | undefined> {
    let text: string;
    try {
      text = await readFile(join(this.folderOf(uploadId), ABOUT), 'utf8');
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
    return parseAbout(text, uploadId);
  }

  private folderOf(uploadId: string): string {
    return join(this.folder, uploadId);
  }
}

function parseAbout(text: string, uploadId: string): About {
  try {
    const { key, startedAtMs } = JSON.parse(text) as Partial<About>;
    if (typeof key === 'string' && typeof startedAtMs === 'number') return { key, startedAtMs };
  } catch (error) {
    const message = `${ABOUT} of upload ${uploadId} is damaged`;
    throw new ObjectStoreError('OBJECT_CORRUPT', message, { cause: error });
  }
  throw new ObjectStoreError('OBJECT_CORRUPT', `${ABOUT} of upload ${uploadId} is damaged`);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function partName(partNumber: number, md5Hex: string): string {
  return `${String(partNumber).padStart(5, '0')}-${md5Hex}`;
}

function notFound(uploadId: string): ObjectStoreError {
  return new ObjectStoreError('UPLOAD_NOT_FOUND', `there is no upload ${JSON.stringify(uploadId)}`);
}
