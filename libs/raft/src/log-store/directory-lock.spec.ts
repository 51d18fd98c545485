import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { lockDirectory } from './directory-lock.js';
import { openLogStore } from './index.js';
import { temporaryDirectory } from './testing/fixtures.js';

let directory = temporaryDirectory();
beforeEach(() => {
  directory = temporaryDirectory();
});
afterEach(() => directory.remove());

it('a directory that is open cannot be opened again until it is closed', async () => {
  const options = { segmentBytesMax: 4096 };
  const store = await openLogStore(directory.path, options);
  await expect(openLogStore(directory.path, options)).rejects.toMatchObject({
    code: 'locked',
    retryable: true,
  });
  await store.close();
  await (await openLogStore(directory.path, options)).close();
  expect(readdirSync(directory.path).filter((name) => name.startsWith('lock'))).toEqual([]);
});

it('of many that open at once at most one succeeds', async () => {
  for (let round = 0; round < 10; round++) {
    const attempts = Array.from({ length: 5 }, () => lockDirectory(directory.path));
    const outcomes = await Promise.allSettled(attempts);
    const held = outcomes.filter((outcome) => outcome.status === 'fulfilled');
    expect(held.length).toBeLessThanOrEqual(1);
    for (const { value } of held) await value.release();
  }
});

it('the lock of a live process holds, and that of a killed one does not', async () => {
  const code = `
    const path = require('node:path');
    require('node:net').createServer().listen(
      path.join(${JSON.stringify(directory.path)}, 'lock-' + process.pid + '-1.sock'),
      () => console.log('ready'),
    );`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  await expect(lockDirectory(directory.path)).rejects.toThrow(`process ${child.pid ?? 0}`);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(readdirSync(directory.path)).toHaveLength(1);
  const lock = await lockDirectory(directory.path);
  expect(readdirSync(directory.path)).toHaveLength(1);
  await lock.release();
  expect(readdirSync(directory.path)).toEqual([]);
});

it('a path longer than a socket address locks as well', async () => {
  const deep = join(directory.path, 'a'.repeat(80), 'b'.repeat(80));
  mkdirSync(deep, { recursive: true });
  const lock = await lockDirectory(deep);
  await expect(lockDirectory(deep)).rejects.toMatchObject({ code: 'locked' });
  await lock.release();
  await (await lockDirectory(deep)).release();
});
