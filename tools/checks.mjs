// The checks that `npm test` and `npm run verify` are made of.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, runScript } from './setup.mjs';

const NX = join(ROOT, 'node_modules/nx/dist/bin/nx.js');
const NX_ENV = { ...process.env, NX_DAEMON: 'false', NX_TUI: 'false', FORCE_COLOR: '0' };
const OUTPUT_BYTES_MAX = 256 * 1024 * 1024;
/** What the boundary rule says when it checks nothing at all. */
const RULE_SKIPPED = 'No cached ProjectGraph is available';

function nx(args) {
  const result = spawnSync(process.execPath, [NX, ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    env: NX_ENV,
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  if (result.error) throw result.error;
  return { code: result.status ?? 1, output: result.stdout + result.stderr };
}

/** Runs one target of all projects with Nx; ends the process when it fails. */
export function target(name, options = []) {
  const { code, output } = nx(['run-many', '-t', name, '--outputStyle=static', ...options]);
  process.stdout.write(output);
  if (code !== 0) {
    console.error(`\n${name}: failed`);
    process.exit(code);
  }
  return output;
}

export function format() {
  runScript('prettier/bin/prettier.cjs', ['--check', '--log-level=warn', '.']);
}

export function typecheck() {
  runScript('typescript/bin/tsc', ['-b']);
}

/** Lint with module boundaries; a boundary rule that skipped itself is a failure. */
export function lint() {
  const graph = nx(['show', 'projects']);
  if (graph.code !== 0) {
    process.stderr.write(graph.output);
    process.exit(graph.code);
  }
  const output = target('lint', ['--parallel=2']);
  if (output.includes(RULE_SKIPPED)) {
    console.error('lint: the module boundary rule skipped itself: there is no project graph');
    process.exit(1);
  }
}

/** Folders of all projects that can hold a test report. */
function projects() {
  const nested = ['apps', 'libs'].flatMap((group) =>
    readdirSync(join(ROOT, group)).map((name) => join(group, name)),
  );
  return [...nested, 'e2e', 'sim'];
}

function reportOf(project) {
  return join(ROOT, project, 'test-results/vitest.json');
}

export function forgetReports() {
  for (const project of projects()) rmSync(reportOf(project), { force: true });
}

/** Adds up the reports of all projects and prints one closing line. */
export function summary() {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const project of projects()) {
    if (!existsSync(reportOf(project))) continue;
    const report = JSON.parse(readFileSync(reportOf(project), 'utf8'));
    sum.passed += report.numPassedTests;
    sum.failed += report.numFailedTests;
    sum.skipped += report.numPendingTests + (report.numTodoTests ?? 0);
  }
  console.log(`\n${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
  if (sum.passed === 0 || sum.failed > 0) process.exit(1);
}
