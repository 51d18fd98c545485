/**
 * Recorded inputs of Regatta's own state machine and the rows it ended with.
 *
 * The recording feeds command i as log index i, from 0; a Raft log starts at 1, so here command i is
 * entry i + 1 and the recorded applied index is one less. Recorded rows are in Regatta's key
 * encoding: version, three zero bytes, kind (1 user, 2 system), key; the applied index is the system
 * row `index`, 64-bit little-endian.
 */
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type Engine } from '../engine/engine.js';
import { openLmdbEngine } from '../engine/lmdb/lmdb-engine.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import { openRocksEngine } from '../engine/rocksdb/rocksdb-engine.js';
import { TableStateMachine } from './table-state-machine.js';

const repository = fileURLToPath(new URL('../../../../', import.meta.url));
const folder = join(repository, '..', 'shared', 'data', 'regatta', 'state-machine');
const KIND_AT = 4;
const KIND_USER = 1;

const hasData = existsSync(folder);
if (!hasData) console.warn(`SKIPPED: no recorded data in ${folder}; golden vectors were not run`);

function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(join(folder, name), 'utf8')) as T;
}

function recordedState(name: string): { rows: [string, string][]; appliedIndex: number } {
  const rows: [string, string][] = [];
  let appliedIndex = -1;
  for (const row of readJson<{ key: string; value: string }[]>(`${name}-output.json`)) {
    const key = Buffer.from(row.key, 'base64');
    const value = Buffer.from(row.value, 'base64');
    const name = key.subarray(KIND_AT + 1).toString('hex');
    if (key[KIND_AT] === KIND_USER) rows.push([name, value.toString('hex')]);
    else appliedIndex = Number(value.readBigUInt64LE(0));
  }
  return { rows, appliedIndex };
}

function check(name: string, engine: Engine, perBatch: number): void {
  const input = readJson<{ cmd: string }[]>(`${name}-input.json`);
  const entries = input.map(({ cmd }, at) => ({ index: at + 1, data: Buffer.from(cmd, 'base64') }));
  const table = new TableStateMachine({ engine, tableId: 10_001 });
  for (let at = 0; at < entries.length; at += perBatch) {
    table.apply(entries.slice(at, at + perBatch));
  }
  const page = table.range({ key: Buffer.alloc(0), rangeEnd: Buffer.from([0]) });
  const expected = recordedState(name);
  expect(page.kvs.map((row) => [row.key.toString('hex'), row.value.toString('hex')])).toEqual(
    expected.rows,
  );
  expect(page.more).toBe(false);
  expect(table.state.appliedIndex - 1).toBe(expected.appliedIndex);
}

describe.skipIf(!hasData)('recorded state machine of Regatta', () => {
  for (const name of ['v0', 'v1', 'v2', 'v3']) {
    it(`${name}: same pairs and applied index in memory, entry by entry and at once`, () => {
      check(name, openMemoryEngine(), 1);
      check(name, openMemoryEngine(), 100);
    });

    it.each([
      ['RocksDB', openRocksEngine],
      ['LMDB', openLmdbEngine],
    ])(`${name}: same pairs and applied index in %s`, async (_, open) => {
      const directory = await mkdtemp(join(tmpdir(), 'flotilla-golden-'));
      const engine = await open({ directory });
      check(name, engine, 3);
      await engine.close();
      await rm(directory, { recursive: true, force: true });
    });
  }
});
