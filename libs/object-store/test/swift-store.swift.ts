/** The S3 API of OpenStack Swift passes what every store has to pass. Slow: `npm run test:swift`. */
import { describe, it } from 'vitest';
import { S3Store } from '../src/s3/s3-store.js';
import { describeObjectStore } from '../src/testing/store-compliance.js';
import { findSwift, startSwift, SWIFT_PART_BYTES } from '../src/testing/swift/index.js';

const swift = findSwift();

if (swift.kind === 'missing') {
  console.error(`\nSKIPPED: no OpenStack Swift on this machine: ${swift.why}\n`);
  describe('OpenStack Swift', () => {
    it.skip(`cannot be had here: ${swift.why}`, () => undefined);
  });
} else {
  const { env } = swift;
  describeObjectStore('OpenStack Swift', async () => {
    const { settings, close } = await startSwift(env);
    const store = new S3Store(settings);
    return {
      store,
      conditionalWrites: false,
      partBytesMin: SWIFT_PART_BYTES,
      close: async () => {
        await store.close();
        await close();
      },
    };
  });
}
