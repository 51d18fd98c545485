// Against a real server that speaks S3: slow, and only where Debian's packages can be had.
import { projectConfig } from '../../tools/vitest-base.mjs';

export default projectConfig({
  include: ['test/**/*.swift.ts'],
  testTimeout: 600_000,
  hookTimeout: 600_000,
  outputFile: { json: 'test-results/vitest-swift.json' },
});
