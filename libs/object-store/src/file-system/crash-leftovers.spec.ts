/** What a dead writer leaves is never an object; it is found, gone on with, or cleaned up. */
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readObject } from '../transfer/read-object.js';
import { FileSystemStore } from './file-system-store.js';

const HOUR_MS = 3_600_000;

describe('leftovers of crashes in a folder', () => {
  let folder: string;
  let store: FileSystemStore;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'object-store-'));
    store = await FileSystemStore.open({ folder });
  });
  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('a write that failed leaves nothing', async () => {
    const body = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(100_000);
      throw new Error('cut');
    };
    await expect(store.put('a', body())).rejects.toThrow('cut');
    await store.put('a', Buffer.from('x'));
    await expect(store.putIfAbsent('a', Buffer.from('y'))).rejects.toThrow('already');
    expect(await readdir(join(folder, 'temporary'))).toEqual([]);
    expect(await readdir(join(folder, 'objects'))).toEqual(['a']);
  });

  it('half a file of a dead writer is not listed, and cleaned up once it is old', async () => {
    await writeFile(join(folder, 'temporary/half'), 'hal');
    await mkdir(join(folder, 'temporary/upload-without-a-name'));
    expect((await store.list('')).objects).toEqual([]);
    expect(await store.cleanUp({ olderThanMs: HOUR_MS })).toEqual({
      uploads: 0,
      temporaryFiles: 0,
    });
    await age(join(folder, 'temporary/half'));
    await age(join(folder, 'temporary/upload-without-a-name'));
    expect(await store.cleanUp({ olderThanMs: HOUR_MS })).toEqual({
      uploads: 0,
      temporaryFiles: 2,
    });
    expect(await readdir(join(folder, 'temporary'))).toEqual([]);
  });

  it('an upload in use is young, however long ago it was begun', async () => {
    const upload = await store.startUpload('a');
    await age(join(folder, 'uploads', upload.uploadId));
    const part = await upload.putPart(1, Buffer.from('x'));
    expect(await store.cleanUp({ olderThanMs: HOUR_MS })).toMatchObject({ uploads: 0 });
    await upload.complete([part]);
    expect(await readdir(join(folder, 'uploads'))).toEqual([]);
  });

  it('another process goes on with an upload, and a part replaced in a crash is the newer', async () => {
    const begun = await store.startUpload('a/b');
    const old = await begun.putPart(1, Buffer.from('old '));
    const uploads = join(folder, 'uploads', begun.uploadId);
    const [name = ''] = (await readdir(uploads)).filter((each) => each.startsWith('00001'));
    await rename(join(uploads, name), join(folder, 'kept'));
    await begun.putPart(1, Buffer.from('new '));
    await rename(join(folder, 'kept'), join(uploads, name));
    await store.close();

    store = await FileSystemStore.open({ folder });
    const [found] = (await store.listUploads('a')).uploads;
    expect(found).toMatchObject({ key: 'a/b', uploadId: begun.uploadId });
    const upload = await store.resumeUpload('a/b', begun.uploadId);
    const both = await upload.listParts();
    expect(both).toHaveLength(1);
    await upload.putPart(1, Buffer.from('last '));
    await upload.putPart(2, Buffer.from('part'));
    const parts = await upload.listParts();
    expect(parts.map(({ etag }) => etag)).not.toContain(old.etag);
    await upload.complete(parts);
    expect((await readObject(store, 'a/b', { bytesMax: 100 })).bytes.toString()).toBe('last part');
  });

  it('a part that has changed on the disk becomes no object', async () => {
    const upload = await store.startUpload('a');
    const part = await upload.putPart(1, Buffer.from('part'));
    const path = join(folder, 'uploads', upload.uploadId, `00001-${part.etag}`);
    expect((await readFile(path)).toString()).toBe('part');
    await writeFile(path, 'pert');
    await expect(upload.complete([part])).rejects.toMatchObject({ code: 'OBJECT_CORRUPT' });
    await expect(store.head('a')).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
  });

  it('an upload removed by half is over, and its rest is cleaned up', async () => {
    const upload = await store.startUpload('a');
    await upload.putPart(1, Buffer.from('x'));
    await rm(join(folder, 'uploads', upload.uploadId, 'upload.json'));
    const over = { code: 'UPLOAD_NOT_FOUND' };
    await expect(store.resumeUpload('a', upload.uploadId)).rejects.toMatchObject(over);
    expect((await store.listUploads('')).uploads).toEqual([]);
    await age(join(folder, 'uploads', upload.uploadId));
    expect(await store.cleanUp({ olderThanMs: HOUR_MS })).toMatchObject({ uploads: 1 });
  });

  it('files of others are no objects, and an upload id is no path', async () => {
    await mkdir(join(folder, 'objects/lost+found'));
    await writeFile(join(folder, 'objects/.hidden'), 'x');
    await writeFile(join(folder, 'objects/%61'), 'x');
    await symlink('/etc/passwd', join(folder, 'objects/link'));
    await store.put('a', Buffer.from('x'));
    expect((await store.list('')).objects.map(({ key }) => key)).toEqual(['a']);
    for (const uploadId of ['..', '../objects', '.', '']) {
      const resume = store.resumeUpload('a', uploadId);
      await expect(resume).rejects.toMatchObject({ code: 'UPLOAD_NOT_FOUND' });
    }
  });

  it('folders that deletions leave empty go, while others write into them', async () => {
    const keys = Array.from({ length: 20 }, (_, at) => `deep/er/${at}`);
    for (let round = 0; round < 5; round += 1) {
      await Promise.all(keys.map((key) => store.put(key, Buffer.from(key))));
      await Promise.all(
        keys.flatMap((key) => [
          store.delete(key),
          store.put(`deep/er/new-${key}`, Buffer.from('x')),
        ]),
      );
      const { objects } = await store.list('deep/');
      expect(objects).toHaveLength(keys.length);
      expect(await store.deleteMany(objects.map(({ key }) => key))).toEqual([]);
    }
    expect(await readdir(join(folder, 'objects'))).toEqual([]);
  });
});

async function age(path: string): Promise<void> {
  const seconds = (Date.now() - 2 * HOUR_MS) / 1_000;
  await utimes(path, seconds, seconds);
}
