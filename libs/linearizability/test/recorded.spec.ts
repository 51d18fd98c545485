/** Every recorded history gets the verdict that it is known to deserve. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { historiesBelow, judgeHistory } from '../src/histories/judge.js';

const RECORDED = resolve(import.meta.dirname, '../../../../shared/data/linearizability');
const TOOL = resolve(import.meta.dirname, '../tools/histories.mjs');
const present = existsSync(RECORDED);
if (!present) console.warn('SKIPPED: the recorded histories are not beside the project');

describe.skipIf(!present)('recorded histories', () => {
  const names = present ? historiesBelow(RECORDED) : [];
  const judged = names
    .map((name) => [name, judgeHistory(RECORDED, name)] as const)
    .filter(([, { expected }]) => expected !== undefined);

  it('are all there', () => {
    expect(judged.length).toBeGreaterThanOrEqual(73);
  });

  it.each(judged)('%s', (_, { expected, found }) => {
    expect(found).toBe(expected);
  });
});

describe('npm run histories', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'flotilla-histories-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const read = (value: string) =>
    `INFO  jepsen.util - 0 :invoke :read nil\nINFO  jepsen.util - 0 :ok :read ${value}\n`;
  const run = () => spawnSync(process.execPath, [TOOL, directory], { encoding: 'utf8' });

  it('ends with how many are right, and fails unless all are', () => {
    writeFileSync(join(directory, 'a-ok.log'), read('nil'));
    writeFileSync(join(directory, 'b-bad.log'), read('1'));
    const good = run();
    expect(good.stdout.trimEnd().split('\n').at(-1)).toBe('right 2/2');
    expect(good.status).toBe(0);

    writeFileSync(join(directory, 'c-ok.log'), read('1'));
    const bad = run();
    expect(bad.stdout).toContain('FAIL c-ok.log: expected linearizable, found not-linearizable');
    expect(bad.stdout.trimEnd().split('\n').at(-1)).toBe('right 2/3');
    expect(bad.status).toBe(1);
  });

  it('fails for a directory without histories', () => {
    const { stdout, status } = run();
    expect([stdout.trim(), status]).toEqual(['right 0/0', 1]);
  });
});
