/** A fake server with a folder is as good as one without, and another one on the folder goes on with it. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { patternOf } from '../compliance/pieces.js';
import { describeObjectStore } from '../store-compliance.js';
import { FakeBucket } from './fake-bucket.js';
import { FakeDisk } from './fake-disk.js';
import { FAKE_PART_BYTES, openFakeS3 } from './fixture.js';

describeObjectStore('S3, server with a folder', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fake-s3-'));
  const { store, close } = await openFakeS3({ folder });
  return {
    store,
    conditionalWrites: true,
    partBytesMin: FAKE_PART_BYTES,
    close: async () => {
      await close();
      rmSync(folder, { recursive: true });
    },
  };
});

describe('a bucket in a folder', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'fake-disk-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const opened = () => new FakeBucket(4, new FakeDisk(folder));

  it('has after a restart what it took, with etag and headers, and not what was deleted', () => {
    const before = opened();
    const longKey = `long/${'ü'.repeat(300)}`;
    const etags = ['a/b', longKey, 'gone'].map(
      (key, at) => before.put(key, patternOf(100, at), { 'x-amz-meta-at': String(at) }, false).etag,
    );
    before.delete('gone');
    const after = opened();
    expect([...after.objects.keys()].sort()).toEqual(['a/b', longKey]);
    expect(after.find(longKey)).toMatchObject({
      etag: etags[1],
      sizeBytes: 100,
      headers: { 'x-amz-meta-at': '1' },
    });
    expect(after.find(longKey).bytes.equals(patternOf(100, 1))).toBe(true);
    expect(() => after.put('a/b', patternOf(1), {}, true)).toThrow('there is such an object');
  });

  it('goes on after a restart with an upload in parts, the younger of two parts counting', () => {
    const before = opened();
    const { uploadId } = before.startUpload('large', { 'x-amz-meta-a': 'b' });
    const upload = before.findUpload('large', uploadId);
    before.putPart(upload, 1, patternOf(8, 1));
    before.putPart(upload, 1, patternOf(8, 2));
    const ended = before.startUpload('ended', {});
    before.endUpload(ended);
    const after = opened();
    const again = after.findUpload('large', uploadId);
    after.putPart(again, 2, patternOf(3, 3));
    const parts = [...again.parts.values()].map(({ partNumber, etag }) => ({ partNumber, etag }));
    after.complete(again, parts, false);
    const whole = Buffer.concat([patternOf(8, 2), patternOf(3, 3)]);
    expect(opened().find('large').bytes.equals(whole)).toBe(true);
    expect(opened().find('large').headers).toEqual({ 'x-amz-meta-a': 'b' });
    expect(opened().uploads.size).toBe(0);
    expect(readdirSync(join(folder, 'temporary'))).toEqual([]);
  });
});
