// `npm run bench -- SCENARIO`: rates, latencies and CPU of real servers (see bench/src/main.ts).
import { ensureBuilt, ensureInstalled, PROGRAMS, run } from './setup.mjs';

ensureInstalled();
ensureBuilt([...PROGRAMS, 'bench']);
process.exitCode = run(process.execPath, ['bench/dist/main.js', ...process.argv.slice(2)], {
  ok: [0, 1, 2],
});
