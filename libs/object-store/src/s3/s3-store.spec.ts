/** A bucket passes what every store has to pass, whatever its server makes of conditional writes. */
import { FAKE_PART_BYTES, openFakeS3 } from '../testing/fake-s3/fixture.js';
import { describeObjectStore } from '../testing/store-compliance.js';

for (const conditionalWrites of ['honoured', 'ignored', 'refused'] as const) {
  describeObjectStore(`S3, conditional writes: ${conditionalWrites}`, async () => {
    const { store, close } = await openFakeS3({ conditionalWrites });
    return {
      store,
      conditionalWrites: conditionalWrites === 'honoured',
      partBytesMin: FAKE_PART_BYTES,
      close,
    };
  });
}
