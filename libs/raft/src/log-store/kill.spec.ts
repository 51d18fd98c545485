import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import ts from 'typescript';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { openLogStore } from './index.js';
import { payloadOf, SEGMENT_BYTES } from './testing/append-until-killed.js';
import { temporaryDirectory } from './testing/fixtures.js';

const SOURCE = join(import.meta.dirname, '..');
const COMPILED = join(import.meta.dirname, '../../test-results/kill-spec');
const ROUNDS = 5;
/** Enough to fill a segment or two a round; each acknowledgement waits for the disk. */
const ACKNOWLEDGED_PER_ROUND = 40;

let directory = temporaryDirectory();

beforeAll(() => {
  directory = temporaryDirectory();
  // The child runs plain JavaScript; the build's output may be older than the source.
  for (const folder of ['core', 'log-store']) {
    for (const name of readdirSync(join(SOURCE, folder), { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts') || name.endsWith('.spec.ts')) continue;
      const target = join(COMPILED, folder, name.replace(/\.ts$/, '.js'));
      mkdirSync(dirname(target), { recursive: true });
      const { outputText } = ts.transpileModule(readFileSync(join(SOURCE, folder, name), 'utf8'), {
        compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
      });
      writeFileSync(target, outputText);
    }
  }
});
afterAll(() => directory.remove());

function start(): ChildProcess & { stdout: NodeJS.ReadableStream } {
  const program = join(COMPILED, 'log-store/testing/append-until-killed.js');
  return spawn(process.execPath, [program, directory.path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

it('everything a killed process had acknowledged is there, and nothing is there in half', async () => {
  const acknowledged = new Map<number, number>();
  for (let round = 0; round < ROUNDS; round++) {
    const child = start();
    const exited = once(child, 'exit');
    let seen = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      const [group = -1, index = -1] = line.split(' ').map(Number);
      acknowledged.set(group, Math.max(acknowledged.get(group) ?? 0, index));
      seen++;
      if (seen === ACKNOWLEDGED_PER_ROUND + round * 7) child.kill('SIGKILL');
    }
    expect(await exited).toEqual([null, 'SIGKILL']);
    const store = await openLogStore(directory.path, { segmentBytesMax: SEGMENT_BYTES });
    expect(acknowledged.size).toBe(3);
    for (const [group, index] of acknowledged) {
      const log = store.group(group);
      expect(log.lastIndex()).toBeGreaterThanOrEqual(index);
      const all = log.entries(1, log.lastIndex() + 1, Number.POSITIVE_INFINITY);
      for (const one of all) expect(one.data).toEqual(payloadOf(group, one.index));
      // Four entries a batch: a batch is there as a whole.
      expect(log.lastIndex() % 4).toBe(0);
    }
    await store.close();
  }
});
