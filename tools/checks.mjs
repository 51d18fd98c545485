// The checks that `npm test`, `npm run verify` and `npm run lint` are made of.
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './setup.mjs';

const installed = (path) => join(ROOT, 'node_modules', path);
const NX = installed('nx/dist/bin/nx.js');
const VITEST = installed('vitest/vitest.mjs');
/**
 * Folders and files of the end-to-end tests that start no cluster. The one of the boundary rules comes later:
 * it needs the project graph that linting makes.
 */
const ONE_NODE = [
  'src/conformance',
  'src/durability',
  'src/import',
  'src/smoke',
  'src/faults/disk.e2e.ts',
  'src/faults/disk-space.e2e.ts',
  'src/faults/harness.e2e.ts',
];
/** Of the others those that take minutes each: several clusters under faults. They have a command of their own. */
const LONG = [
  'src/backup/backup-crash.e2e.ts',
  'src/backup/faults',
  'src/backup/follower-restore.e2e.ts',
  'src/backup/point-in-time.e2e.ts',
  'src/backup/real-input.e2e.ts',
  'src/backup/s3-cli.e2e.ts',
  'src/replication/equality.e2e.ts',
  'src/replication/link-follower.e2e.ts',
  'src/replication/promotion.e2e.ts',
  'src/replication/pullers.e2e.ts',
  'src/replication/set-back.e2e.ts',
  'src/replication/soak/soak-faults.e2e.ts',
];
const REPORT = 'test-results/vitest.json';
const ONE_NODE_REPORT = 'test-results/vitest-one-node.json';
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

/** End-to-end tests with one node at most; they get along with something else beside them. */
export function oneNodeTests() {
  const report = `--outputFile.json=${ONE_NODE_REPORT}`;
  return { name: 'e2e one node', cwd: 'e2e', programs: [[VITEST, 'run', report, ...ONE_NODE]] };
}

/** All other end-to-end tests: several processes each, and nothing else beside them. */
export function clusterTests() {
  const elsewhere = [...ONE_NODE, ...LONG];
  const others = elsewhere.map((path) => `--exclude=${path.endsWith('.ts') ? path : `${path}/**`}`);
  return { name: 'e2e clusters', cwd: 'e2e', programs: [[VITEST, 'run', ...others]] };
}

/** What `npm run test:long` runs: end-to-end tests for which `npm test` has no time. */
export function longTests() {
  return { name: 'e2e long', cwd: 'e2e', programs: [[VITEST, 'run', ...LONG]] };
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

/** Where the results of all tests are expected. */
function reports() {
  return [...projects().map((project) => join(project, REPORT)), join('e2e', ONE_NODE_REPORT)];
}

export function forgetReports() {
  for (const report of reports()) rmSync(join(ROOT, report), { force: true });
}

/** Adds up all reports and prints one line; one that is missing is a failure. */
export function summary() {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const path of reports()) {
    if (!existsSync(join(ROOT, path))) {
      console.error(`there is no test report ${path}`);
      process.exit(1);
    }
    const report = JSON.parse(readFileSync(join(ROOT, path), 'utf8'));
    sum.passed += report.numPassedTests;
    sum.failed += report.numFailedTests;
    sum.skipped += report.numPendingTests + (report.numTodoTests ?? 0);
  }
  console.log(`\n${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
  if (sum.passed === 0 || sum.failed > 0) process.exit(1);
}
