import { projectConfig } from '../../tools/vitest-base.mjs';

export default projectConfig();
