import { projectConfig } from '../tools/vitest-base.mjs';

// Real processes on real ports: one file at a time, and time enough for a slow disk.
export default projectConfig({
  include: ['src/**/*.e2e.ts'],
  fileParallelism: false,
  testTimeout: 300_000,
  hookTimeout: 300_000,
});
