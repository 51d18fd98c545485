// Puts through apply on RocksDB, with history given up behind them as a node does it.
//   npx tsc -b libs/mvcc && node libs/mvcc/bench/apply-bench.mjs [puts] [cacheMiB] [library]
// For each size of value and of batch: puts a second, and process CPU per put (RocksDB's threads included).
// `library` is the index.js of another build, for runs side by side; cacheMiB 0 is no cache of versions.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { mvccV1 } from '@flotilla/proto';

const [puts, cacheMiB] = [Number(process.argv[2] ?? 60_000), Number(process.argv[3] ?? 64)];
const library = resolve(process.argv[4] ?? join(import.meta.dirname, '../dist/index.js'));
const { openRocksEngine, TableStateMachine, VersionCache } = await import(pathToFileURL(library));
const REVISIONS_KEPT = 10_000;
const STEP_ROWS = 64;

function encode(at, value) {
  const key = Buffer.from(`key/${String((at * 7919) % puts).padStart(12, '0')}`);
  const kv = { key, value, createRevision: 0n, modRevision: 0n };
  const type = mvccV1.Command_CommandType.PUT;
  const blank = { batch: [], prevKvs: false, sequence: [], count: false };
  return mvccV1.Command.encode({ table: Buffer.from('bench'), type, kv, ...blank });
}

const logOf = (table, value) =>
  Array.from({ length: puts }, (_, at) => ({
    index: table.state.appliedIndex + 1 + at,
    data: encode(at, value).finish(),
  }));

function applyAll(table, log, size) {
  for (let at = 0; at < log.length; at += size) {
    table.apply(log.slice(at, at + size));
    const { revision, compactedRevision } = table.state;
    const target = revision - REVISIONS_KEPT;
    if (target - compactedRevision < 1_000) continue;
    while (!table.compact(target, { rowsMax: STEP_ROWS }).done);
  }
}

function measure(run) {
  globalThis.gc?.();
  const cpu = process.cpuUsage();
  const start = process.hrtime.bigint();
  run();
  const micros = Number(process.hrtime.bigint() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const perSecond = String(Math.round((puts / micros) * 1e6)).padStart(7);
  return `${perSecond}/s ${((user + system) / puts).toFixed(1).padStart(6)} us`;
}

for (const valueBytes of [100, 1024]) {
  for (const size of [1, 32, 256]) {
    const directory = mkdtempSync(join(tmpdir(), 'flotilla-bench-'));
    const engine = await openRocksEngine({ directory });
    const cache = cacheMiB > 0 ? new VersionCache({ bytesMax: cacheMiB << 20 }) : undefined;
    const table = new TableStateMachine({ engine, tableId: 1, cache });
    const results = [];
    for (const fill of ['a', 'b', 'c']) {
      const log = logOf(table, Buffer.alloc(valueBytes, fill));
      results.push(measure(() => applyAll(table, log, size)));
    }
    const what = `${valueBytes} B, batches of ${size}`.padEnd(24);
    console.log(`${what} fresh ${results[0]}   over ${results[1]}   again ${results[2]}`);
    await engine.close();
    rmSync(directory, { recursive: true, force: true });
  }
}
