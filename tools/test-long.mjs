// `npm run test:long`: the end-to-end tests that take minutes each.
import { longTests } from './checks.mjs';
import { ALL_SOURCES, ensureBuilt, ensureInstalled } from './setup.mjs';
import { runSteps, timed } from './steps.mjs';

timed('install', ensureInstalled);
timed('build', () => ensureBuilt(ALL_SOURCES));
await runSteps([longTests()], 1);
