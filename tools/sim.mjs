// `npm run sim`: simulations of whole clusters (see sim/src/main.ts).
import { ensureBuilt, ensureInstalled, run } from './setup.mjs';

ensureInstalled();
ensureBuilt(['sim']);
process.exitCode = run(process.execPath, ['sim/dist/main.js', ...process.argv.slice(2)], {
  ok: [0, 1, 2],
});
