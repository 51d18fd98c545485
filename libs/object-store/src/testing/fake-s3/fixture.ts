/** A fake server and a store on it, with parts small enough for tests. */
import { S3Store } from '../../s3/s3-store.js';
import { type S3Settings } from '../../s3/s3-settings.js';
import { FakeS3Server, type FakeS3Options } from './fake-s3-server.js';

export const FAKE_PART_BYTES = 256 * 1024;

const OPTIONS: FakeS3Options = {
  bucket: 'backups',
  accessKeyId: 'fake-access-key',
  secretAccessKey: 'fake-secret',
  partBytesMin: FAKE_PART_BYTES,
};

export interface FakeS3 {
  readonly server: FakeS3Server;
  readonly settings: S3Settings;
  readonly store: S3Store;
  readonly close: () => Promise<void>;
}

export async function openFakeS3(
  options: Partial<FakeS3Options> = {},
  settings: Partial<S3Settings> = {},
): Promise<FakeS3> {
  const all = { ...OPTIONS, ...options };
  const server = new FakeS3Server(all);
  const complete: S3Settings = {
    bucket: all.bucket,
    prefix: 'some/where/',
    region: 'eu-central-1',
    endpoint: await server.listen(),
    pathStyle: true,
    credentials: { accessKeyId: all.accessKeyId, secretAccessKey: all.secretAccessKey },
    conditionalWrites: 'probe',
    partBytes: FAKE_PART_BYTES,
    partsInFlight: 3,
    backoffMsMin: 1,
    ...settings,
  };
  const store = new S3Store(complete);
  return {
    server,
    settings: complete,
    store,
    close: async () => {
      await store.close();
      await server.close();
    },
  };
}
