// `npm test`: sets up, then checks format, types and lint, and runs all tests.
import {
  clusterTests,
  forgetReports,
  format,
  lint,
  oneNodeTests,
  summary,
  tests,
  typecheck,
} from './checks.mjs';
import { ALL_SOURCES, ensureBuilt, ensureInstalled } from './setup.mjs';
import { printTimes, runSteps, timed } from './steps.mjs';

timed('install', ensureInstalled);
forgetReports();
timed('build', () => ensureBuilt(ALL_SOURCES));
await runSteps([oneNodeTests(), lint(), ...tests(), format(), typecheck()], 2);
await runSteps([clusterTests()], 1);
printTimes();
summary();
