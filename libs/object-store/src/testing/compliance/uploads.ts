/**
 * What uploads in parts have to do: nothing is seen before the end, and a part that was once
 * acknowledged need not be sent again, whoever goes on.
 */
import { describe, expect, it } from 'vitest';
import { listAllUploads } from '../../transfer/read-object.js';
import { type Bench } from '../store-compliance.js';
import { bytesOf, patternOf, readBody } from './pieces.js';

export function describeUploads(bench: () => Bench): void {
  describe('uploads in parts', () => {
    it('an object is seen when its upload is complete, not before', async () => {
      const { store, prefix, partBytesMin } = bench();
      const key = `${prefix()}a`;
      const bytes = patternOf(partBytesMin * 2 + 3);
      const upload = await store.startUpload(key);
      const last = await upload.putPart(3, bytes.subarray(partBytesMin * 2));
      const first = await upload.putPart(1, bytes.subarray(0, partBytesMin));
      const second = await upload.putPart(2, bytes.subarray(partBytesMin, partBytesMin * 2));
      await expect(store.head(key)).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
      expect((await store.list(key)).objects).toEqual([]);

      const info = await upload.complete([first, second, last]);
      expect(info).toMatchObject({ key, sizeBytes: bytes.length });
      expect((await store.head(key)).etag).toBe(info.etag);
      expect((await readBody(await store.get(key))).equals(bytes)).toBe(true);
    });

    it('another process goes on where the first one died', async () => {
      const { store, prefix, partBytesMin } = bench();
      const key = `${prefix()}a`;
      const bytes = patternOf(partBytesMin + 10);
      const { uploadId, ...begun } = await store.startUpload(key);
      await begun.putPart(1, bytes.subarray(0, partBytesMin));

      const upload = await store.resumeUpload(key, uploadId);
      expect(await upload.listParts()).toMatchObject([{ partNumber: 1, sizeBytes: partBytesMin }]);
      await upload.putPart(2, bytes.subarray(partBytesMin));
      await upload.complete(await upload.listParts());
      expect((await readBody(await store.get(key))).equals(bytes)).toBe(true);
      expect((await store.listUploads(key)).uploads).toEqual([]);
    });

    it('a part that is sent again takes the place of the first', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}a`;
      const upload = await store.startUpload(key);
      await upload.putPart(1, bytesOf('first'));
      const again = await upload.putPart(1, bytesOf('again'));
      expect(await upload.listParts()).toEqual([again]);
      await upload.complete([again]);
      expect((await readBody(await store.get(key))).toString()).toBe('again');
    });

    it('unfinished uploads are listed by key, page by page', async () => {
      const { store, prefix } = bench();
      const below = prefix();
      const keys = ['a', 'a/b', 'b', 'ü'].map((name) => below + name);
      const begun = await Promise.all(keys.map((key) => store.startUpload(key)));
      const second = await store.startUpload(`${below}a`);
      const pages = [];
      let after;
      do {
        const page = await store.listUploads(below, {
          limit: 2,
          ...(after === undefined ? {} : { after }),
        });
        expect(page.uploads.length).toBeLessThanOrEqual(2);
        pages.push(...page.uploads);
        after = page.next;
      } while (after !== undefined);
      expect(pages.map(({ key }) => key)).toEqual([keys[0], ...keys]);
      const ids = [...begun, second].map(({ uploadId }) => uploadId).sort();
      expect(pages.map(({ uploadId }) => uploadId).sort()).toEqual(ids);

      for (const upload of [...begun, second]) await upload.abort();
      for await (const left of listAllUploads(store, below)) expect(left).toBeUndefined();
    });

    it('an upload that is over is not found, and aborting it again is fine', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}a`;
      const upload = await store.startUpload(key);
      const part = await upload.putPart(1, bytesOf('x'));
      await upload.abort();
      await upload.abort();
      const over = { code: 'UPLOAD_NOT_FOUND', retryable: false };
      await expect(store.resumeUpload(key, upload.uploadId)).rejects.toMatchObject(over);
      await expect(upload.putPart(2, bytesOf('y'))).rejects.toMatchObject(over);
      await expect(upload.listParts()).rejects.toMatchObject(over);
      await expect(upload.complete([part])).rejects.toMatchObject(over);
      await expect(store.head(key)).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
    });

    it('a part that is not there, or not so, completes nothing', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}a`;
      const upload = await store.startUpload(key);
      const part = await upload.putPart(1, bytesOf('x'));
      const wrong = [[], [{ ...part, etag: '0'.repeat(32) }], [part, part]];
      for (const parts of wrong) {
        const complete = upload.complete(parts);
        await expect(complete).rejects.toMatchObject({ code: 'STORE_INVALID' });
      }
      for (const partNumber of [0, 10_001, 1.5]) {
        const put = upload.putPart(partNumber, bytesOf('x'));
        await expect(put).rejects.toMatchObject({ code: 'STORE_INVALID' });
      }
      await expect(store.head(key)).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
      await upload.abort();
    });

    it('an upload completes only where no object is, if it was told to', async ({ skip }) => {
      const { store, prefix, conditionalWrites } = bench();
      if (!conditionalWrites) skip();
      const key = `${prefix()}a`;
      const upload = await store.startUpload(key);
      const part = await upload.putPart(1, bytesOf('late'));
      await store.put(key, bytesOf('early'));
      const late = upload.complete([part], { ifAbsent: true });
      await expect(late).rejects.toMatchObject({ code: 'OBJECT_EXISTS' });
      expect((await readBody(await store.get(key))).toString()).toBe('early');
      await upload.abort();
    });

    it('cleaning up drops the uploads of dead writers, and nothing that is seen', async () => {
      const { store, prefix } = bench();
      const key = `${prefix()}a`;
      await store.put(key, bytesOf('kept'));
      const upload = await store.startUpload(key);
      await upload.putPart(1, bytesOf('x'));
      await store.cleanUp({ olderThanMs: 3_600_000 });
      expect((await store.listUploads(key)).uploads).toHaveLength(1);
      // The clocks of stores may count in seconds.
      await new Promise((done) => setTimeout(done, 1_100));
      expect((await store.cleanUp({ olderThanMs: 0 })).uploads).toBeGreaterThan(0);
      expect((await store.listUploads(key)).uploads).toEqual([]);
      expect((await readBody(await store.get(key))).toString()).toBe('kept');
    });
  });
}
