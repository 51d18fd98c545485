// Puts through apply and reads of one table on an engine, unsynced as in production.
//   npx tsc -b libs/mvcc && node libs/mvcc/bench/table-bench.mjs [keys] [valueBytes] [batch] [rocksdb|lmdb]
// Prints operations a second, and process CPU per operation (RocksDB's own threads included).
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mvccV1 } from '@flotilla/proto';
import { openLmdbEngine, openRocksEngine, TableStateMachine } from '../dist/index.js';

const [keys = 200_000, valueBytes = 128, batch = 64] = process.argv.slice(2, 5).map(Number);
const open = process.argv[5] === 'lmdb' ? openLmdbEngine : openRocksEngine;
const directory = mkdtempSync(join(tmpdir(), 'flotilla-bench-'));
const engine = await open({ directory });
const table = new TableStateMachine({ engine, tableId: 1 });
const value = Buffer.alloc(valueBytes, 'v');
const keyAt = (at) => Buffer.from(`key/${String((at * 7919) % keys).padStart(12, '0')}`);

function encode(at) {
  return mvccV1.Command.encode({
    table: Buffer.from('bench'),
    type: mvccV1.Command_CommandType.PUT,
    kv: { key: keyAt(at), value, createRevision: 0n, modRevision: 0n },
    batch: [],
    prevKvs: false,
    sequence: [],
    count: false,
  }).finish();
}

function measure(name, operations, run) {
  const cpu = process.cpuUsage();
  const start = process.hrtime.bigint();
  run();
  const micros = Number(process.hrtime.bigint() - start) / 1000;
  const used = process.cpuUsage(cpu);
  const perSecond = Math.round((operations / micros) * 1e6);
  const cpuEach = ((used.user + used.system) / operations).toFixed(2);
  const each = (micros / operations).toFixed(2);
  console.log(
    `${name.padEnd(28)} ${String(perSecond).padStart(8)}/s ${each} us, CPU ${cpuEach} us`,
  );
}

function applyAll(log, size) {
  for (let at = 0; at < log.length; at += size) table.apply(log.slice(at, at + size));
}

const logOf = (count) => {
  const first = table.state.appliedIndex + 1;
  return Array.from({ length: count }, (_, at) => ({ index: first + at, data: encode(at) }));
};

console.log(`${keys} keys, values of ${valueBytes} bytes, batches of ${batch}`);
let log = logOf(keys);
measure('put fresh keys', keys, () => applyAll(log, batch));
log = logOf(keys);
measure('put over existing keys', keys, () => applyAll(log, batch));
log = logOf(20_000);
measure('put, batches of one', log.length, () => applyAll(log, 1));
measure('get', keys, () => {
  for (let at = 0; at < keys; at += 1) table.get(keyAt(at));
});
measure('get, missing', keys, () => {
  for (let at = 0; at < keys; at += 1) table.get(Buffer.from(`none/${at}`));
});
const ranges = 1000;
for (const limit of [1, 100, 1000]) {
  measure(`range of ${limit}`, ranges, () => {
    for (let at = 0; at < ranges; at += 1) {
      table.range({ key: keyAt(at), rangeEnd: Buffer.from([0]), limit });
    }
  });
}
measure('full page (4 MiB)', 1, () =>
  table.range({ key: Buffer.from([0]), rangeEnd: Buffer.from([0]) }),
);
measure('count of the whole table', 1, () =>
  table.range({ key: Buffer.from([0]), rangeEnd: Buffer.from([0]), countOnly: true }),
);
// Passes over all changes since; that is what it costs.
measure('get at an old revision', 20, () => {
  for (let at = 0; at < 20; at += 1) table.get(keyAt(keys - at - 1), { revision: keys });
});
measure('range of all at an old one', 1, () => {
  const rows = table.iterate({
    key: Buffer.from([0]),
    rangeEnd: Buffer.from([0]),
    keysOnly: true,
    revision: keys,
  });
  while (rows.next()?.more);
});
let removed = 0;
let longest = 0;
measure('compact, all', keys, () => {
  for (let done = false; !done;) {
    const start = performance.now();
    const result = table.compact(table.state.revision);
    longest = Math.max(longest, performance.now() - start);
    removed += result.removed;
    done = result.done;
  }
});
console.log(`compaction removed ${removed} rows, longest call ${longest.toFixed(1)} ms`);
const syncStart = performance.now();
await engine.sync();
console.log(
  `sync ${(performance.now() - syncStart).toFixed(1)} ms`,
  engine.properties(),
  table.stats(),
);
await engine.close();
rmSync(directory, { recursive: true, force: true });
