/**
 * A process is killed while it applies entries to RocksDB or LMDB; what it leaves is opened and compared with
 * the same log applied in memory up to the applied index found.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readdir, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Engine } from '../src/engine/engine.js';
import { openLmdbEngine } from '../src/engine/lmdb/lmdb-engine.js';
import { openMemoryEngine } from '../src/engine/memory/memory-engine.js';
import { openRocksEngine } from '../src/engine/rocksdb/rocksdb-engine.js';
import { TableStateMachine } from '../src/table/table-state-machine.js';
import { crashLog } from '../src/testing/crash-log.js';

const here = dirname(fileURLToPath(import.meta.url));
const TABLE_ID = 5;
const ROUNDS = 4;
const TIMEOUT_MS = 120_000;
const MEMTABLES = { memtableBudgetBytes: 2 * 1024 * 1024 };

let directory: string;

beforeAll(() => {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-b', join(here, '..', 'tsconfig.lib.json')]);
}, TIMEOUT_MS);
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'flotilla-crash-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

type Kind = 'rocksdb' | 'lmdb';

interface Progress {
  /** The last applied index the process told of. */
  told: number;
  /** The last applied index it said was synced, 0 if none. */
  synced: number;
}

function openEngine(kind: Kind): Promise<Engine> {
  return kind === 'lmdb'
    ? openLmdbEngine({ directory })
    : openRocksEngine({ directory, ...MEMTABLES });
}

/** Runs the writer for a while and kills it. */
async function writeAndKill(kind: Kind, aliveMs: number): Promise<Progress> {
  const child = spawn(process.execPath, [join(here, 'crash-writer.mjs'), directory, kind], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  await once(child.stdout, 'data');
  await sleep(aliveMs);
  child.kill('SIGKILL');
  expect(await exited).toEqual([null, 'SIGKILL']);
  const lines = output.slice(0, output.lastIndexOf('\n')).split('\n');
  const synced = lines.filter((line) => line.startsWith('synced ')).at(-1);
  return {
    told: Number(lines.filter((line) => /^\d+$/.test(line)).at(-1)),
    synced: synced === undefined ? 0 : Number(synced.slice('synced '.length)),
  };
}

/** Opens what is left and compares every pair and number with the log; gives the applied index. */
async function expectPrefixOfLog(kind: Kind): Promise<number> {
  const engine = await openEngine(kind);
  const found = new TableStateMachine({ engine, tableId: TABLE_ID });
  const expected = new TableStateMachine({ engine: openMemoryEngine(), tableId: TABLE_ID });
  const { appliedIndex, compactedRevision, revision } = found.state;
  expected.apply(crashLog(1, appliedIndex));
  const hashOf = (table: TableStateMachine, at: number): string => {
    const parts: string[] = [];
    const hasher = { update: (data: Uint8Array) => parts.push(Buffer.from(data).toString('hex')) };
    table.hash(hasher, { revision: at });
    return parts.join('\n');
  };
  for (const at of [revision, compactedRevision, Math.min(revision, Math.max(1, revision - 100))]) {
    expect(hashOf(found, at)).toBe(hashOf(expected, at));
  }
  expect(found.stats().keys).toBe(expected.stats().keys);
  expect(found.stats().liveBytes).toBe(expected.stats().liveBytes);
  // The rest of the log completes it, from an entry before the end on.
  const log = crashLog(Math.max(1, appliedIndex - 20), appliedIndex + 200);
  found.apply(log);
  expected.apply(log);
  expect(hashOf(found, 0)).toBe(hashOf(expected, 0));
  await engine.close();
  return appliedIndex;
}

it(
  'a process killed on RocksDB leaves the state of some prefix of the log, with all it told of',
  async () => {
    let reached = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const { told } = await writeAndKill('rocksdb', 150 + round * 130);
      const applied = await expectPrefixOfLog('rocksdb');
      expect(applied).toBeGreaterThanOrEqual(told);
      expect(told).toBeGreaterThan(reached);
      reached = told;
    }
  },
  TIMEOUT_MS,
);

it(
  'a process killed on LMDB leaves the state of some prefix of the log, with all that was synced',
  async () => {
    let reached = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const { told, synced } = await writeAndKill('lmdb', 700 + round * 300);
      const applied = await expectPrefixOfLog('lmdb');
      expect(applied).toBeGreaterThanOrEqual(Math.max(synced, reached));
      expect(applied).toBeLessThan(told + 61);
      reached = applied;
    }
    // Otherwise nothing was tested: the process was never there long enough for a sync.
    expect(reached).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);

it(
  'with the end of the write-ahead log lost as well, it is still some prefix of the log',
  async () => {
    const { told } = await writeAndKill('rocksdb', 300);
    const names = (await readdir(directory)).filter((name) => /^\d+\.log$/.test(name)).sort();
    const newest = join(directory, names.at(-1) ?? '');
    const { size } = await stat(newest);
    const file = await open(newest, 'r+');
    await file.truncate(Math.max(0, size - 1037));
    await file.close();
    const applied = await expectPrefixOfLog('rocksdb');
    expect(applied).toBeLessThan(told + 61);
    expect(applied).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);
