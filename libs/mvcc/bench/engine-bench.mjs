// The engines of the port side by side, alternating in one run; medians of the rounds.
//   npx tsc -b libs/mvcc && node libs/mvcc/bench/engine-bench.mjs [rows] [valueBytes] [rounds]
// Prints microseconds of the loop, and process CPU, for each operation, and the ratio of the two.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { openLmdbEngine, openRocksEngine } from '../dist/index.js';

const [rows = 200_000, valueBytes = 128, rounds = 7] = process.argv.slice(2).map(Number);
const directory = mkdtempSync(join(tmpdir(), 'flotilla-bench-'));
const engines = {
  rocksdb: await openRocksEngine({ directory: join(directory, 'rocksdb') }),
  lmdb: await openLmdbEngine({ directory: join(directory, 'lmdb') }),
};
const value = Buffer.alloc(valueBytes, 'v');
const keyAt = (at) => Buffer.from(`table/key/${String((at * 7919) % rows).padStart(12, '0')}`);
const END = Buffer.from('table/key0');

/** Rows in batches of a size; `from` moves on, so that the rounds touch other rows. */
async function load(engine) {
  for (let at = 0; at < rows; at += 640) {
    put(engine, at, 640, 64);
    await setImmediate();
  }
  await engine.sync();
}

function put(engine, from, count, batchRows) {
  for (let at = 0; at < count; at += batchRows) {
    const batch = engine.batch();
    for (let row = 0; row < batchRows; row += 1) batch.put(keyAt(from + at + row), value);
    batch.write();
  }
}

function scan(engine, from, count, content) {
  for (let at = 0; at < count; at += 1) {
    const view = engine.iterator({ gte: keyAt(from + at * 31), lt: END, content });
    let items = 0;
    while (items < 1000) {
      const page = view.read(1000 - items);
      items += content === 'entries' ? page.items.length / 2 : page.items.length;
      if (page.done) break;
    }
    view.close();
  }
}

function get(engine, from, count) {
  for (let at = 0; at < count; at += 1) engine.get(keyAt(from + at * 13));
}

const GETS = 20_000;
const SCANS = 50;
const PUTS = 6_400;
const missing = Buffer.from('table/none');
const CASES = [
  ['get', GETS, (engine, from) => get(engine, from, GETS)],
  [
    'get, missing',
    GETS,
    (engine) => {
      for (let at = 0; at < GETS; at += 1) engine.get(missing);
    },
  ],
  [
    'get many, 100 keys',
    GETS / 100,
    (engine, from) => {
      for (let at = 0; at < GETS; at += 100) {
        engine.getMany(Array.from({ length: 100 }, (_, key) => keyAt(from + at + key * 17)));
      }
    },
  ],
  ['scan of 1,000 pairs', SCANS, (engine, from) => scan(engine, from, SCANS, 'entries')],
  ['scan of 1,000 values', SCANS, (engine, from) => scan(engine, from, SCANS, 'values')],
  ['put, batches of 1', PUTS, (engine, from) => put(engine, from, PUTS, 1)],
  ['put, batches of 32', PUTS, (engine, from) => put(engine, from, PUTS, 32)],
  ['put, batches of 256', PUTS, (engine, from) => put(engine, from, PUTS, 256)],
  [
    'put 1 and scan of 10',
    500,
    (engine, from) => {
      for (let at = 0; at < 500; at += 1) {
        put(engine, from + at, 1, 1);
        const view = engine.iterator({ gte: keyAt(from + at), lt: END });
        view.read(10);
        view.close();
      }
    },
  ],
];

const results = new Map();
function measure(engine, name, operations, run, from) {
  const cpu = process.cpuUsage();
  const start = process.hrtime.bigint();
  run(engines[engine], from);
  const micros = Number(process.hrtime.bigint() - start) / 1000 / operations;
  const used = process.cpuUsage(cpu);
  const key = `${name}/${engine}`;
  if (!results.has(key)) results.set(key, []);
  results.get(key).push([micros, (used.user + used.system) / operations]);
}
const median = (key, field) => {
  const sorted = results
    .get(key)
    .map((pair) => pair[field])
    .sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
};

for (const [name, engine] of Object.entries(engines)) {
  const start = performance.now();
  await load(engine);
  console.log(
    `${name}: loaded in ${Math.round(performance.now() - start)} ms`,
    engine.properties(),
  );
}
for (let round = 0; round < rounds; round += 1) {
  for (const [name, operations, run] of CASES) {
    for (const engine of Object.keys(engines)) {
      measure(engine, name, operations, run, round * 9_973);
      await setImmediate();
    }
  }
  for (const engine of Object.values(engines)) await engine.sync();
}
console.log(`${rows} rows, values of ${valueBytes} bytes, medians of ${rounds} rounds`);
console.log(`${'us each (CPU)'.padEnd(24)}${'rocksdb'.padStart(20)}${'lmdb'.padStart(20)}  ratio`);
for (const [name] of CASES) {
  const cell = (engine) =>
    `${median(`${name}/${engine}`, 0).toFixed(2)} (${median(`${name}/${engine}`, 1).toFixed(2)})`;
  const ratio = median(`${name}/rocksdb`, 0) / median(`${name}/lmdb`, 0);
  console.log(
    `${name.padEnd(24)}${cell('rocksdb').padStart(20)}${cell('lmdb').padStart(20)}  ${ratio.toFixed(2)}`,
  );
}
for (const [name, engine] of Object.entries(engines)) {
  console.log(name, engine.properties());
  await engine.close();
}
rmSync(directory, { recursive: true, force: true });
