// What every command of the project does first: the packages of the lock file are installed and
// the sources compiled, each only when something changed since the last time. Uses nothing but
// Node itself, because it runs before anything is installed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');

const NODE_LEAST = [20, 19];
const STAMP = join(ROOT, 'node_modules/.flotilla-installed');

/** Ends the process with a message unless this Node can run the project. */
function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [leastMajor, leastMinor] = NODE_LEAST;
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return;
  console.error(`Flotilla needs Node ${NODE_LEAST.join('.')} or newer; this is ${process.version}`);
  process.exit(1);
}

/** Runs a command with this terminal; ends the process with its exit code when it fails. */
export function run(command, args, options = {}) {
  const { ok = [0], ...rest } = options;
  const result = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit', ...rest });
  if (result.error) {
    console.error(`${command}: ${result.error.message}`);
    process.exit(1);
  }
  const code = result.status ?? 1;
  if (!ok.includes(code)) process.exit(code);
  return code;
}

/** Runs a program of an installed package, given by the path of its script. */
export function runScript(path, args, options) {
  return run(process.execPath, [join(ROOT, 'node_modules', path), ...args], options);
}

/** What decides whether the installed packages are the right ones. */
function installKey() {
  return createHash('sha256')
    .update(readFileSync(join(ROOT, 'package-lock.json')))
    .update(`${process.platform} ${process.arch} ${process.versions.modules}`)
    .digest('hex');
}

/** Installs the packages of the lock file if it, the platform or Node changed since last time. */
export function ensureInstalled() {
  requireNode();
  const key = installKey();
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === key) return;
  console.log('Installing packages (npm ci) ...');
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  writeFileSync(STAMP, key);
}

/** Compiles what the given projects need; the compiler itself knows what is up to date. */
export function ensureBuilt(projects) {
  const configs = projects.map((project) => join(project, 'tsconfig.lib.json'));
  runScript('typescript/bin/tsc', ['-b', ...configs]);
}

/**
 * How a node is started. One of a leader cluster has as many helper threads of V8 as there are processors beside the
 * one of the loop: Node's own four get in the way of reads on a small machine.
 */
export function nodeProgram(role) {
  const program = join(ROOT, 'apps/kv-node/dist/main.js');
  return role === 'leader' ? ['--v8-pool-size=0', program, role] : [program, role];
}

/** Everything that can be started: the apps and, through their references, all libraries. */
export const PROGRAMS = [
  'apps/kv-node',
  'apps/replication-gateway',
  'apps/maintenance',
  'apps/cli',
];

/** All that is compiled, tests aside: what compiles again beside others finds it up to date. */
export const ALL_SOURCES = [...PROGRAMS, 'sim', 'e2e'];
