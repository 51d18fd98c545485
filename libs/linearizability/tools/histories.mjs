// `npm run histories -- DIR`: judges every recorded history below a directory laid out like the
// recorded ones (`jepsen/*.log` with `expected.txt`, `kv/*.txt`), or of our own (`*.jsonl`), and says
// how many verdicts are the expected ones. Those that are not, or not readable, are shown with why;
// `--explain` shows why for every one that is not linearizable.
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { createViteServer } from 'vitest/node';

const SOURCES = resolve(import.meta.dirname, '..');

function print(judgement, right, millis, explain) {
  const { name, expected, found, operations, steps, report } = judgement;
  const mark = right === undefined ? '--  ' : right ? 'ok  ' : 'FAIL';
  const words = `expected ${expected ?? 'nothing'}, found ${found}`;
  console.log(`${mark} ${name}: ${words} (${operations} operations, ${steps} steps, ${millis} ms)`);
  if (report !== undefined && (explain || right !== true)) {
    console.log(`  ${report.replaceAll('\n', '\n  ')}`);
  }
}

async function main(root, explain) {
  const vite = await createViteServer({
    root: SOURCES,
    configFile: false,
    logLevel: 'error',
    appType: 'custom',
    server: { middlewareMode: true, watch: null, ws: false, hmr: false },
  });
  try {
    const { historiesBelow, isRight, judgeHistory } = await vite.ssrLoadModule(
      resolve(SOURCES, 'src/histories/judge.ts'),
    );
    let total = 0;
    let matched = 0;
    for (const name of historiesBelow(root)) {
      const start = performance.now();
      const judgement = judgeHistory(root, name);
      const right = isRight(judgement);
      print(judgement, right, Math.round(performance.now() - start), explain);
      if (right !== undefined) total += 1;
      if (right === true) matched += 1;
    }
    console.log(`right ${matched}/${total}`);
    return total > 0 && matched === total ? 0 : 1;
  } finally {
    await vite.close();
  }
}

const { values, positionals } = parseArgs({
  options: { explain: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const [directory] = positionals;
if (directory === undefined) {
  console.error('usage: npm run histories -- DIR [--explain]');
  process.exit(2);
}
// npm runs scripts in the project's folder; a relative path means the folder it was called from.
process.exit(await main(resolve(process.env.INIT_CWD ?? '.', directory), values.explain));
