// `npm run verify`: what a developer runs before a commit. Everything but the end-to-end tests;
// the tests of what did not change since the last run are not run again.
import { changedTests, format, lint, typecheck } from './checks.mjs';
import { ALL_SOURCES, ensureBuilt, ensureInstalled } from './setup.mjs';
import { runSteps, timed } from './steps.mjs';

timed('install', ensureInstalled);
timed('build', () => ensureBuilt(ALL_SOURCES));
await runSteps([lint(), format(), typecheck()], 2);
await runSteps([changedTests()], 1);
