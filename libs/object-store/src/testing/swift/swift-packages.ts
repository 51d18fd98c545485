/**
 * OpenStack Swift as Debian packages it: installed, or unpacked into a cache folder beside the sources.
 *
 * Out: what a Python process needs to find it, or why it cannot be had on this machine. Nothing is
 * installed and no rights are needed: the system's package manager tells and downloads what is
 * missing here.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Debian's own: others do not see its packages. */
export const PYTHON = '/usr/bin/python3';

const CACHE = fileURLToPath(new URL('../../../../../.cache/swift', import.meta.url));
/** Of one command of the package manager: downloads may take long, but must end. */
const COMMAND_MS_MAX = 300_000;
const PROBE = 'import swift.common.wsgi, swift.common.middleware.s3api.s3api';

export type SwiftPackages =
  | { readonly kind: 'found'; readonly env: Readonly<Record<string, string>> }
  | { readonly kind: 'missing'; readonly why: string };

export function findSwift(): SwiftPackages {
  try {
    if (canImport({})) return { kind: 'found', env: {} };
    const root = join(CACHE, 'root');
    if (!existsSync(root)) unpack();
    const env = {
      PYTHONPATH: join(root, 'usr/lib/python3/dist-packages'),
      LD_LIBRARY_PATH: libraryFolders(join(root, 'usr/lib')),
    };
    if (canImport(env)) return { kind: 'found', env };
    return { kind: 'missing', why: `${PYTHON} cannot import what was unpacked into ${root}` };
  } catch (error) {
    return { kind: 'missing', why: error instanceof Error ? error.message : String(error) };
  }
}

function canImport(env: Readonly<Record<string, string>>): boolean {
  return spawnSync(PYTHON, ['-c', PROBE], { env: { ...process.env, ...env } }).status === 0;
}

/** The folder has its name once everything is in it. */
function unpack(): void {
  rmSync(CACHE, { recursive: true, force: true });
  mkdirSync(CACHE, { recursive: true });
  const told = run('apt-get', ['install', '-s', '--no-install-recommends', 'python3-swift']);
  const packages = [...told.matchAll(/^Inst (\S+)/gm)].map(([, name = '']) => name);
  console.error(`unpacking ${packages.length} packages of Swift into ${CACHE}`);
  run('apt-get', ['download', '-q', ...packages]);
  for (const file of readdirSync(CACHE).filter((name) => name.endsWith('.deb'))) {
    run('dpkg-deb', ['-x', file, 'unpacked']);
  }
  renameSync(join(CACHE, 'unpacked'), join(CACHE, 'root'));
}

function libraryFolders(lib: string): string {
  const nested = readdirSync(lib, { withFileTypes: true }).filter((each) => each.isDirectory());
  return [lib, ...nested.map(({ name }) => join(lib, name))].join(':');
}

function run(command: string, args: readonly string[]): string {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: CACHE,
    encoding: 'utf8',
    timeout: COMMAND_MS_MAX,
  });
  if (status === 0) return stdout;
  const why = error?.message ?? stderr;
  throw new Error(`${command} ${args[0]} failed: ${why} (apt-get update may be needed first)`);
}
