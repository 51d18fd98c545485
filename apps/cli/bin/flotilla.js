#!/usr/bin/env node
// The command `flotilla`: runs the compiled program, or says how to compile it.
import { existsSync } from 'node:fs';

const program = new URL('../dist/main.js', import.meta.url);
if (!existsSync(program)) {
  process.stderr.write('flotilla is not built yet: run `npm run build` in the project folder\n');
  process.exit(1);
}
await import(program.href);
