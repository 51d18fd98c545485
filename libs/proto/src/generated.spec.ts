import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const LIB = resolve(import.meta.dirname, '..');
const scratch = mkdtempSync(join(tmpdir(), 'flotilla-proto-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function filesBelow(dir: string): Map<string, string> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true });
  return new Map(
    files
      .filter((file) => file.isFile())
      .map((file) => join(file.parentPath, file.name))
      .map((path) => [relative(dir, path), readFileSync(path, 'utf8')]),
  );
}

describe('generated code', () => {
  it('is exactly what the generator makes of the .proto files', () => {
    const run = spawnSync(
      process.execPath,
      [join(LIB, 'tools/generate.mjs'), '--out', join(scratch, 'generated')],
      { encoding: 'utf8' },
    );
    expect(run.stderr + run.stdout).toBe('');
    expect(filesBelow(join(LIB, 'src/generated'))).toEqual(filesBelow(join(scratch, 'generated')));
  }, 60_000);
});
