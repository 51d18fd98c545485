/**
 * Measures the log store on this machine's disk: appends with 1 and 256 in flight, opening, memory.
 *
 * In: the built library (`npx tsc -b libs/raft`), and as an optional argument the directory to work
 * in. Out: one line per figure. Not a test: figures depend on the disk and on what else runs.
 * With `open` as third argument only opening and memory are measured.
 *
 *     node --expose-gc libs/raft/bench/log-store.bench.mjs [directory] [seconds] [open]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setImmediate } from 'node:timers';
import { setTimeout } from 'node:timers/promises';

import { openLogStore } from '../dist/log-store/index.js';

const base = process.argv[2] ?? tmpdir();
const seconds = Number(process.argv[3] ?? 3);
const PAYLOAD = new Uint8Array(128).fill(7);
const GROUPS = 16;

function say(name, fields) {
  const text = Object.entries(fields).map(([key, value]) => `${key} ${value}`);
  process.stdout.write(`${name.padEnd(34)} ${text.join('  ')}\n`);
}

function microseconds(nanoseconds) {
  return Number(nanoseconds) / 1e3;
}

/** As a host does: what is ready in a turn goes into one batch; the rest waits for the next. */
async function appends(name, inFlight, groups, commitToo) {
  const directory = mkdtempSync(join(base, 'raft-bench-'));
  const store = await openLogStore(directory);
  const latencies = [];
  const until = process.hrtime.bigint() + BigInt(seconds * 1e9);
  const cpuStart = process.cpuUsage();
  const start = process.hrtime.bigint();
  let done = 0;
  let ready = Array.from({ length: inFlight }, (_, at) => ({ group: at % groups, since: start }));
  const batch = store.batch();
  const next = new Array(groups).fill(1);
  let running = 0;
  await new Promise((fulfil) => {
    let scheduled = false;
    function schedule() {
      if (!scheduled) {
        scheduled = true;
        setImmediate(turn);
      }
    }
    function turn() {
      scheduled = false;
      const now = process.hrtime.bigint();
      if (now >= until) {
        ready = [];
        if (running === 0) fulfil();
        return;
      }
      const taken = ready;
      ready = [];
      if (taken.length === 0) return;
      const byGroup = new Map();
      for (const one of taken) {
        one.since = now;
        const entry = { index: next[one.group]++, term: 1, type: 0, data: PAYLOAD };
        const list = byGroup.get(one.group);
        if (list === undefined) byGroup.set(one.group, [entry]);
        else list.push(entry);
      }
      for (const [group, entries] of byGroup) batch.appendEntries(group, entries);
      running++;
      store.write(batch).then(() => {
        running--;
        const at = process.hrtime.bigint();
        for (const one of taken) {
          latencies.push(microseconds(at - one.since));
          ready.push(one);
        }
        done += taken.length;
        if (commitToo) {
          for (const group of byGroup.keys()) {
            batch.setHardState(group, { term: 1, vote: 1, commit: next[group] - 1 });
          }
          store.write(batch, { sync: false });
        }
        schedule();
      });
    }
    turn();
  });
  const elapsed = Number(process.hrtime.bigint() - start) / 1e9;
  const cpu = process.cpuUsage(cpuStart);
  latencies.sort((left, right) => left - right);
  const at = (share) => latencies[Math.floor((latencies.length - 1) * share)].toFixed(0);
  say(name, {
    'appends/s': (done / elapsed).toFixed(0),
    'cpu us': ((cpu.user + cpu.system) / done).toFixed(2),
    'p50 us': at(0.5),
    'p99 us': at(0.99),
    syncs: store.stats().syncs,
  });
  await store.close();
  rmSync(directory, { recursive: true });
}

async function memoryAndOpening(groups, total) {
  const directory = mkdtempSync(join(base, 'raft-bench-'));
  const options = { cacheBytesMax: 4 * 1024 * 1024 };
  // Buffers of earlier measurements are given back only some turns after their collection.
  const heap = async () => {
    for (let round = 0; round < 5; round++) {
      globalThis.gc?.();
      await setTimeout(20);
    }
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  let store = await openLogStore(directory, options);
  const before = await heap();
  const perBatch = 10_000;
  const batch = store.batch();
  for (let from = 0; from < total; from += perBatch) {
    const each = perBatch / Math.min(groups, perBatch);
    for (let group = 0; group < Math.min(groups, perBatch); group++) {
      const first = store.group(group).lastIndex() + 1;
      const entries = [];
      for (let at = 0; at < each; at++) {
        entries.push({ index: first + at, term: 1, type: 0, data: PAYLOAD });
      }
      batch.appendEntries(group, entries);
      if (from === 0) batch.setHardState(group, { term: 1, vote: 1, commit: 0 });
    }
    await store.write(batch);
  }
  const held = (await heap()) - before - store.stats().cacheBytes;
  const { bytes } = store.stats();
  await store.close();
  const start = process.hrtime.bigint();
  store = await openLogStore(directory, options);
  const openMs = microseconds(process.hrtime.bigint() - start) / 1e3;
  const readStart = process.hrtime.bigint();
  const last = store.group(0).lastIndex();
  const read = store.group(0).entries(Math.max(1, last - 999), last + 1, Infinity).length;
  say(`${total} entries, ${groups} groups`, {
    'memory MB': (held / 1e6).toFixed(1),
    'disk MB': (bytes / 1e6).toFixed(0),
    'open ms': openMs.toFixed(0),
    [`read ${read} from disk us`]: microseconds(process.hrtime.bigint() - readStart).toFixed(0),
  });
  await store.close();
  rmSync(directory, { recursive: true });
}

const only = process.argv[4];
if (only !== 'open') {
  await appends('warm-up', 64, GROUPS, false);
  await appends('1 in flight', 1, 1, false);
  await appends('1 in flight, commit index too', 1, 1, true);
  await appends('256 in flight, 16 groups', 256, GROUPS, false);
  await appends('256 in flight, commit index too', 256, GROUPS, true);
}
await memoryAndOpening(1, 1_000_000);
await memoryAndOpening(1000, 1_000_000);
await memoryAndOpening(10_000, 10_000);
