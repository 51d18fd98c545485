// `npm run verify`: what a developer runs before a commit. Everything but the end-to-end tests;
// what did not change since the last run is not run again.
import { format, lint, target, typecheck } from './checks.mjs';
import { ensureBuilt, ensureInstalled, PROGRAMS } from './setup.mjs';

ensureInstalled();
ensureBuilt(PROGRAMS);
format();
typecheck();
lint();
target('test', ['--parallel=2']);
