// `npm test`: sets up, then checks format, types and lint, and runs all tests.
import {
  endToEndTests,
  forgetReports,
  format,
  lint,
  summary,
  tests,
  typecheck,
} from './checks.mjs';
import { ALL_SOURCES, ensureBuilt, ensureInstalled } from './setup.mjs';
import { printTimes, runSteps, timed } from './steps.mjs';

timed('install', ensureInstalled);
forgetReports();
timed('build', () => ensureBuilt(ALL_SOURCES));
await runSteps([lint(), format(), ...tests(), typecheck()], 2);
await runSteps([endToEndTests()], 1);
printTimes();
summary();
