// The checks that `npm test`, `npm run verify` and `npm run lint` are made of.
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './setup.mjs';

const installed = (path) => join(ROOT, 'node_modules', path);
const NX = installed('nx/dist/bin/nx.js');
const VITEST = installed('vitest/vitest.mjs');
/** What the boundary rule says when it checks nothing at all. */
const RULE_SKIPPED = 'No cached ProjectGraph is available';
/** Those that take longest begin first, so that none of them is left alone at the end. */
const LONGEST = ['sim', 'libs/mvcc', 'apps/kv-node', 'libs/raft', 'libs/grpc'];

export function format() {
  const program = [installed('prettier/bin/prettier.cjs'), '--check', '--log-level=warn', '.'];
  return { name: 'format', programs: [program] };
}

export function typecheck() {
  return { name: 'typecheck', programs: [[installed('typescript/bin/tsc'), '-b']] };
}

/**
 * Lint with module boundaries; a boundary rule that skipped itself is a failure. One process for
 * all projects: each one on its own would compile what it uses of the others once more.
 */
export function lint() {
  return {
    name: 'lint',
    programs: [
      [NX, 'show', 'projects'],
      [installed('eslint/bin/eslint.js'), '.'],
    ],
    objection: (output) =>
      output.includes(RULE_SKIPPED)
        ? 'the module boundary rule skipped itself: there is no project graph'
        : undefined,
  };
}

/** The tests of each project but the end-to-end tests, whatever ran before. */
export function tests() {
  const order = (project) =>
    LONGEST.includes(project) ? LONGEST.indexOf(project) : LONGEST.length;
  return projects()
    .filter((project) => project !== 'e2e')
    .sort((left, right) => order(left) - order(right))
    .map((project) => ({ name: `test ${project}`, cwd: project, programs: [[VITEST, 'run']] }));
}

/** Real processes by the dozen: nothing else beside them. */
export function endToEndTests() {
  return { name: 'e2e', cwd: 'e2e', programs: [[VITEST, 'run']] };
}

/** Runs the tests of the projects that changed since they last passed. */
export function changedTests() {
  const args = ['run-many', '-t', 'test', '--outputStyle=static', '--parallel=2'];
  return { name: 'test', programs: [[NX, ...args]] };
}

/** Folders of all projects with tests. */
function projects() {
  const { workspaces } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  return workspaces
    .flatMap((workspace) => {
      if (!workspace.endsWith('/*')) return [workspace];
      const group = workspace.slice(0, -2);
      return readdirSync(join(ROOT, group)).map((name) => join(group, name));
    })
    .filter((project) => existsSync(join(ROOT, project, 'vitest.config.mjs')));
}

function reportOf(project) {
  return join(ROOT, project, 'test-results/vitest.json');
}

export function forgetReports() {
  for (const project of projects()) rmSync(reportOf(project), { force: true });
}

/** Adds up the reports of all projects and prints one line; a project without one is a failure. */
export function summary() {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const project of projects()) {
    if (!existsSync(reportOf(project))) {
      console.error(`${project}: there is no test report`);
      process.exit(1);
    }
    const report = JSON.parse(readFileSync(reportOf(project), 'utf8'));
    sum.passed += report.numPassedTests;
    sum.failed += report.numFailedTests;
    sum.skipped += report.numPendingTests + (report.numTodoTests ?? 0);
  }
  console.log(`\n${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
  if (sum.passed === 0 || sum.failed > 0) process.exit(1);
}
