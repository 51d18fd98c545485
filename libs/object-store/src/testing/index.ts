/** For tests: a store in memory, one that fails by a seed, and a server in this process that speaks S3. */
export { MemoryStore, type MemoryStoreOptions } from './memory-store.js';
export {
  FakeS3Server,
  type FakeRequestSeen,
  type FakeS3Options,
  type FakeTrouble,
} from './fake-s3/fake-s3-server.js';
export { openFakeS3, type FakeS3 } from './fake-s3/fixture.js';
export { FaultyStore, type FaultyStoreOptions } from './faulty-store.js';
