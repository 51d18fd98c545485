/**
 * Programs of other projects: found on this machine, or unpacked from Debian's packages.
 *
 * A package is downloaded by the system's own package manager into a cache folder beside the sources
 * and unpacked there: nothing is installed and no rights are needed.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { ROOT } from '@flotilla/e2e/harness';

const CACHE = join(ROOT, '.cache');

export interface Program {
  readonly path: string;
  /** What it needs to find its libraries. */
  readonly env: Readonly<Record<string, string>>;
}

interface Source {
  readonly program: string;
  /** The package, and the libraries that are not on every machine. */
  readonly packages: readonly string[];
}

const ETCD: Source = { program: 'etcd', packages: ['etcd-server'] };
const H2LOAD: Source = {
  program: 'h2load',
  packages: ['nghttp2-client', 'libnghttp2-14', 'libev4', 'libjansson4', 'libjemalloc2'],
};

export function findEtcd(path: string | undefined): Program {
  return path === undefined ? find(ETCD) : { path, env: {} };
}

export function findH2load(): Program {
  return find(H2LOAD);
}

function find({ program, packages }: Source): Program {
  const installed = onPath(program);
  if (installed !== undefined) return { path: installed, env: {} };
  const folder = join(CACHE, program);
  const path = join(folder, 'root/usr/bin', program);
  if (!existsSync(path)) unpack(folder, packages);
  return { path, env: { LD_LIBRARY_PATH: libraryFolders(join(folder, 'root/usr/lib')) } };
}

function onPath(program: string): string | undefined {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, program);
    if (existsSync(path) && isExecutable(path)) return path;
  }
  return undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // The answer is no; why it may not be run does not matter to who looks for another.
    return false;
  }
}

function unpack(folder: string, packages: readonly string[]): void {
  mkdirSync(folder, { recursive: true });
  console.error(`unpacking ${packages.join(', ')} into ${folder}`);
  run('apt-get', ['download', '-q', ...packages], folder);
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.deb'))) {
    run('dpkg-deb', ['-x', file, 'root'], folder);
  }
}

function libraryFolders(lib: string): string {
  if (!existsSync(lib)) return '';
  const nested = readdirSync(lib, { withFileTypes: true }).filter((each) => each.isDirectory());
  return [lib, ...nested.map(({ name }) => join(lib, name))].join(delimiter);
}

function run(command: string, args: readonly string[], cwd: string): void {
  const { status, error, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status === 0) return;
  throw new Error(
    `${command} ${args.join(' ')} failed: ${error?.message ?? stderr}\n` +
      'bring its list of packages up to date (apt-get update), install the program, or name it',
  );
}
