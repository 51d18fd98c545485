// `npm run lint`: the linter alone, for all projects.
import { lint } from './checks.mjs';
import { ALL_SOURCES, ensureBuilt, ensureInstalled } from './setup.mjs';
import { runSteps } from './steps.mjs';

ensureInstalled();
ensureBuilt(ALL_SOURCES);
await runSteps([lint()], 1);
