// `npm run build`: installs if needed, compiles all programs.
import { ensureBuilt, ensureInstalled, PROGRAMS } from './setup.mjs';

ensureInstalled();
ensureBuilt(PROGRAMS);
