// `npm run lint`: the linter alone, for all projects.
import { lint } from './checks.mjs';
import { ensureInstalled } from './setup.mjs';
import { runSteps } from './steps.mjs';

ensureInstalled();
await runSteps([lint()], 1);
