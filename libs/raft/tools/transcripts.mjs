// `npm run transcripts -- DIR`: replays every transcript below a directory laid out like the
// recorded ones (`interaction/`, `confchange/`, `quorum/`) and says how many match.
import { resolve } from 'node:path';
import { createViteServer } from 'vitest/node';

const SOURCES = resolve(import.meta.dirname, '..');

/** Differing lines with a little of what is around them; expected lines marked -, actual +. */
function difference(expected, actual) {
  const wanted = expected.split('\n');
  const got = actual.split('\n');
  const first = wanted.findIndex((line, at) => line !== got[at]);
  const from = Math.max(0, (first < 0 ? wanted.length : first) - 2);
  const part = (lines, mark) => lines.slice(from).map((line) => `    ${mark} ${line}`);
  return [...part(wanted, '-'), ...part(got, '+')].join('\n');
}

async function main(root) {
  const vite = await createViteServer({
    root: SOURCES,
    configFile: false,
    logLevel: 'error',
    appType: 'custom',
    server: { middlewareMode: true, watch: null, ws: false, hmr: false },
  });
  try {
    const suites = await vite.ssrLoadModule(resolve(SOURCES, 'test/transcripts/suites.ts'));
    const results = suites
      .transcriptsBelow(root)
      .map((name) => suites.replayTranscript(root, name));
    for (const { name, matched, total, mismatches } of results) {
      console.log(`${mismatches.length === 0 ? 'ok  ' : 'FAIL'} ${name} ${matched}/${total}`);
      for (const { pos, cmd, expected, actual } of mismatches) {
        console.log(`  ${name}:${pos}: ${cmd}\n${difference(expected, actual)}`);
      }
    }
    const sum = (pick) => results.reduce((total, result) => total + pick(result), 0);
    const files = sum(({ mismatches }) => (mismatches.length === 0 ? 1 : 0));
    const directives = sum(({ matched }) => matched);
    const total = sum((result) => result.total);
    console.log(`files ${files}/${results.length}`);
    console.log(`directives ${directives}/${total}`);
    return results.length > 0 && files === results.length ? 0 : 1;
  } finally {
    await vite.close();
  }
}

const directory = process.argv[2];
if (directory === undefined) {
  console.error('usage: npm run transcripts -- DIR');
  process.exit(2);
}
// npm runs scripts in the project's folder; a relative path means the folder it was called from.
process.exit(await main(resolve(process.env.INIT_CWD ?? '.', directory)));
