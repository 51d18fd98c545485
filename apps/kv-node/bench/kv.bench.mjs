// Rates, latencies and CPU of a real node: point reads and durable puts, driven by h2load (Debian's
// nghttp2-client), which costs far less than a Node client would. Never part of a test.
//
//   npm run build && node apps/kv-node/bench/kv.bench.mjs [requests] [rounds]
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { FlotillaClient } from '@flotilla/client';
import { regattaV1 as v1 } from '@flotilla/proto';

const PROGRAM = resolve(import.meta.dirname, '../dist/main.js');
const API = 'http://127.0.0.1:18843';
const [REQUESTS = 20_000, ROUNDS = 3] = process.argv.slice(2).map(Number);
const CLOCK_TICKS_PER_SECOND = 100;
const KEYS = 10_000;
const SHAPES = [
  { connections: 1, streams: 1 },
  { connections: 1, streams: 32 },
  { connections: 8, streams: 32 },
];

const folder = mkdtempSync(join(tmpdir(), 'flotilla-bench-'));
const key = (at) => Buffer.from(`bench/key/${String(at).padStart(22, '0')}`);
const value = Buffer.alloc(100, 'v');

function body(name, bytes) {
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(bytes.length, 1);
  const path = join(folder, name);
  writeFileSync(path, Buffer.concat([frame, bytes]));
  return path;
}

/** User and system time of the node so far, in microseconds. */
function cpuMicros(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / CLOCK_TICKS_PER_SECOND;
}

function load(pid, method, bodyFile, { connections, streams }) {
  const requests = connections * streams === 1 ? Math.ceil(REQUESTS / 5) : REQUESTS;
  const before = cpuMicros(pid);
  const args = ['-n', requests, '-c', connections, '-m', streams, '-t', 1, '-d', bodyFile];
  const headers = ['-H', 'content-type: application/grpc', '-H', 'te: trailers'];
  const url = `${API}/regatta.v1.KV/${method}`;
  const run = spawnSync('h2load', [...args.map(String), ...headers, url], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(run.stderr || String(run.error));
  const [, rate] = /, ([\d.]+) req\/s/.exec(run.stdout) ?? [];
  const [, , , mean] = /time for request:\s+(\S+)\s+(\S+)\s+(\S+)/.exec(run.stdout) ?? [];
  const [, succeeded] = /(\d+) succeeded/.exec(run.stdout) ?? [];
  if (Number(succeeded) !== requests) throw new Error(`not all succeeded:\n${run.stdout}`);
  return { rate: Number(rate), mean, cpuUs: (cpuMicros(pid) - before) / requests };
}

const middle = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

async function main() {
  const flags = [`--api.address=${API}`, '--rest.address=http://127.0.0.1:18879'];
  const profile = process.env.BENCH_PROFILE ? ['--cpu-prof', '--cpu-prof-dir=.'] : [];
  const data = [`--data-dir=${join(folder, 'data')}`, '--raft.address=127.0.0.1:15912'];
  const node = spawn(process.execPath, [...profile, PROGRAM, 'leader', ...flags, ...data], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  await new Promise((done) => node.once('message', done));
  const client = new FlotillaClient({ endpoints: [API] });
  await client.createTable('bench');
  for (let from = 0; from < KEYS; from += 500) {
    const success = Array.from({ length: 500 }, (_, at) => ({
      request: { $case: 'requestPut', value: { key: key(from + at), value, prevKv: false } },
    }));
    await client.txn({ table: 'bench', compare: [], success, failure: [] });
  }
  client.close();
  const table = Buffer.from('bench');
  const read = v1.RangeRequest.fromPartial({ table, key: key(4_242) });
  const cases = [
    ['get', 'Range', body('get', v1.RangeRequest.encode(read).finish())],
    [
      'get, linearizable',
      'Range',
      body('lget', v1.RangeRequest.encode({ ...read, linearizable: true }).finish()),
    ],
    [
      'put',
      'Put',
      body(
        'put',
        v1.PutRequest.encode(v1.PutRequest.fromPartial({ table, key: key(7), value })).finish(),
      ),
    ],
  ];
  const results = new Map();
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, method, file] of cases) {
      for (const shape of SHAPES) {
        const id = `${name.padEnd(18)} ${shape.connections}x${shape.streams}`;
        const all = results.get(id) ?? [];
        all.push(load(node.pid, method, file, shape));
        results.set(id, all);
      }
    }
  }
  console.log(`medians of ${ROUNDS} rounds, ${REQUESTS} requests (a fifth of that at 1x1)`);
  for (const [id, all] of results) {
    const rate = Math.round(middle(all.map((each) => each.rate)));
    const cpu = Math.round(middle(all.map((each) => each.cpuUs)));
    console.log(`${id.padEnd(26)} ${rate} req/s, mean ${all[0].mean}, node CPU ${cpu} us/req`);
  }
  node.kill('SIGTERM');
  await new Promise((done) => node.once('exit', done));
}

try {
  await main();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
