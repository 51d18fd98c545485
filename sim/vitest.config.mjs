import { projectConfig } from '../tools/vitest-base.mjs';

// One simulation is one core at work for a while.
export default projectConfig({ testTimeout: 300_000, fileParallelism: false });
