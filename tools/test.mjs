// `npm test`: sets up, then checks format, types and lint, and runs all tests.
import { forgetReports, format, lint, summary, target, typecheck } from './checks.mjs';
import { ensureBuilt, ensureInstalled, PROGRAMS } from './setup.mjs';

ensureInstalled();
forgetReports();
ensureBuilt(PROGRAMS);
format();
typecheck();
lint();
target('test', ['--parallel=2']);
target('e2e', ['--parallel=1']);
summary();
