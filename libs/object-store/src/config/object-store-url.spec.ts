/** A URL says where objects are, or is refused with the name of the field that is wrong. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parseObjectStoreUrl } from './object-store-url.js';
import { openObjectStore } from './open-object-store.js';

describe('URLs of object stores', () => {
  it('a folder is named by its path', () => {
    expect(parseObjectStoreUrl('file:///var/back%20ups/')).toEqual({
      kind: 'file-system',
      folder: '/var/back ups/',
    });
  });

  it('a bucket needs nothing but its name', () => {
    expect(parseObjectStoreUrl('s3://backups')).toEqual({
      kind: 's3',
      settings: {
        bucket: 'backups',
        prefix: '',
        region: 'us-east-1',
        pathStyle: false,
        conditionalWrites: 'probe',
        partBytes: 8 * 1024 * 1024,
        partsInFlight: 4,
      },
    });
  });

  it('every setting of a bucket is taken', () => {
    const parameters = new URLSearchParams({
      region: 'eu-central-1',
      endpoint: 'https://s3.example.org:9000',
      'path-style': 'true',
      encryption: 'aws:kms',
      'kms-key-id': 'arn:aws:kms:eu-central-1:1:key/2',
      'conditional-writes': 'yes',
      'part-bytes': '16777216',
      'parts-in-flight': '2',
    });
    const credentials = { accessKeyId: 'id', secretAccessKey: 'secret' };
    const url = `s3://backups/a/b%20c/?${parameters.toString()}`;
    expect(parseObjectStoreUrl(url, { credentials })).toEqual({
      kind: 's3',
      settings: {
        bucket: 'backups',
        prefix: 'a/b c/',
        region: 'eu-central-1',
        endpoint: 'https://s3.example.org:9000',
        pathStyle: true,
        encryption: { kind: 'aws:kms', keyId: 'arn:aws:kms:eu-central-1:1:key/2' },
        conditionalWrites: 'yes',
        partBytes: 16_777_216,
        partsInFlight: 2,
        credentials,
      },
    });
  });

  it.each([
    ['', 'url'],
    ['backups', 'url'],
    ['https://example.org/backups', 'url'],
    ['file://host/backups', 'url'],
    ['file:///backups?x=1', 'url'],
    ['file:///', 'url'],
    ['s3://id:secret@backups', 'url'],
    ['s3://backups#here', 'url'],
    ['s3://', 'bucket'],
    ['s3://b', 'bucket'],
    ['s3://Back_ups', 'bucket'],
    ['s3://backups:9000', 'bucket'],
    ['s3://backups/a//b', 'prefix'],
    ['s3://backups/%2e%2e%2fa', 'prefix'],
    ['s3://backups/%ff', 'prefix'],
    [`s3://backups/${'x'.repeat(255)}`, 'prefix'],
    ['s3://backups?regoin=x', 'regoin'],
    ['s3://backups?region=', 'region'],
    ['s3://backups?region=a&region=b', 'region'],
    ['s3://backups?endpoint=example.org', 'endpoint'],
    ['s3://backups?endpoint=ftp://example.org', 'endpoint'],
    ['s3://backups?endpoint=https://id:secret@example.org', 'endpoint'],
    ['s3://backups?path-style=1', 'path-style'],
    ['s3://backups?encryption=rot13', 'encryption'],
    ['s3://backups?kms-key-id=x', 'kms-key-id'],
    ['s3://backups?conditional-writes=maybe', 'conditional-writes'],
    ['s3://backups?part-bytes=5242879', 'part-bytes'],
    ['s3://backups?part-bytes=1e9', 'part-bytes'],
    ['s3://backups?parts-in-flight=0', 'parts-in-flight'],
  ])('%s is refused, and %s is named', (url, field) => {
    const parse = (): unknown => parseObjectStoreUrl(url);
    expect(parse).toThrow(expect.objectContaining({ code: 'STORE_INVALID' }) as Error);
    expect(parse).toThrow(`object store: ${field} `);
    expect(parse).not.toThrow('secret');
  });

  it('a store is opened from its URL', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'object-store-'));
    const store = await openObjectStore(pathToFileURL(join(folder, 'a/b')).href);
    await store.put('x', Buffer.from('y'));
    expect(await store.head('x')).toMatchObject({ sizeBytes: 1 });
    await store.close();
    await expect(store.head('x')).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    await rm(folder, { recursive: true });

    const bucket = await openObjectStore('s3://backups/a?endpoint=http://127.0.0.1:1');
    expect(bucket.url).toBe('s3://backups/a/');
    await bucket.close();
    await expect(bucket.head('x')).rejects.toMatchObject({ code: 'STORE_CLOSED' });
  });
});
