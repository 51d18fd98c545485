// `npm run cluster`: a cluster on this machine, made ready if needed. Each node is a process of its
// own, with its data below ./data/cluster; what it prints is marked with its number. `--nodes N`
// starts another number than three, `--data-dir DIR` keeps the data elsewhere; arguments after a
// second `--` go to every node. Ctrl-C stops all; a node that dies is said and started again by Enter.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { ensureBuilt, ensureInstalled, nodeProgram, PROGRAMS, ROOT } from './setup.mjs';

/** More have no ports left by the step below. */
const NODES_MAX = 6;
/** Ports of node n: the usual ones, and from the second node on ten thousand higher each. */
const PORT_STEP = 10_000;
const PORTS = { api: 8443, rest: 8079, raft: 5012 };

const { values, positionals } = parseArgs({
  options: {
    nodes: { type: 'string', default: '3' },
    'data-dir': { type: 'string', default: join(ROOT, 'data/cluster') },
  },
  allowPositionals: true,
});
const size = Number(values.nodes);
if (!Number.isInteger(size) || size < 1 || size > NODES_MAX) {
  console.error(`--nodes: expected a number from 1 to ${NODES_MAX}, not "${values.nodes}"`);
  process.exit(2);
}
ensureInstalled();
ensureBuilt(PROGRAMS);

const dataDir = resolve(values['data-dir']);
const ids = Array.from({ length: size }, (_, at) => at + 1);
const port = (kind, id) => PORTS[kind] + (id - 1) * PORT_STEP;
const url = (kind, id) => `http://127.0.0.1:${port(kind, id)}`;
const members = ids.map((id) => `${id}=127.0.0.1:${port('raft', id)}`).join(',');
const running = new Map();
const ready = new Set();
let stopping = false;
let welcomed = false;

for (const id of ids) start(id);

const input = createInterface({ input: process.stdin });
input.on('line', () => {
  for (const id of ids) if (!running.has(id) && !stopping) start(id);
});
// Ctrl-C reaches the nodes by themselves, as members of the same terminal; this process only waits.
process.on('SIGINT', () => (stopping = true));
process.on('SIGTERM', () => {
  stopping = true;
  for (const node of running.values()) node.kill('SIGTERM');
});

function start(id) {
  const folder = join(dataDir, String(id));
  mkdirSync(folder, { recursive: true });
  const flags = [
    `--data-dir=${folder}`,
    `--raft.node-id=${id}`,
    `--raft.address=127.0.0.1:${port('raft', id)}`,
    `--raft.initial-members=${members}`,
    `--api.address=${url('api', id)}`,
    `--api.advertise-address=${url('api', id)}`,
    `--rest.address=${url('rest', id)}`,
    '--dev-mode=true',
    ...positionals,
  ];
  const node = spawn(process.execPath, [...nodeProgram('leader'), ...flags], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  running.set(id, node);
  for (const stream of [node.stdout, node.stderr]) {
    createInterface({ input: stream }).on('line', (line) => console.log(`[${id}] ${line}`));
  }
  node.on('message', (message) => {
    if (message?.type === 'ready') isReady(id);
  });
  node.on('exit', (code, signal) => ended(id, signal ?? `code ${code}`));
}

function isReady(id) {
  ready.add(id);
  if (welcomed || ready.size < size) return;
  welcomed = true;
  console.log(welcome());
}

function ended(id, how) {
  running.delete(id);
  ready.delete(id);
  if (running.size === 0) process.exit(stopping ? 0 : 1);
  if (!stopping) {
    console.log(`\nNode ${id} ended (${how}); the others go on. Press Enter to start it again.\n`);
  }
}

function welcome() {
  const lines = ids.map((id) => {
    const { pid } = running.get(id);
    return `  node ${id}: gRPC ${url('api', id)}   REST ${url('rest', id)}   process ${pid}`;
  });
  const last = url('api', size);
  const { pid } = running.get(1);
  return [
    '',
    `A cluster of ${size} is ready, with its data in ${dataDir}`,
    ...lines,
    'Try, in another terminal:',
    '  npx flotilla table create demo',
    '  npx flotilla put --table demo hello world',
    `  npx flotilla get --table demo hello --endpoints ${last}`,
    '  npx flotilla cluster nodes',
    '  npx flotilla cluster placements',
    `  kill -9 ${pid}`,
    `  npx flotilla put --table demo hello again --endpoints ${last}`,
    'Ctrl-C stops all nodes; a node that ended is started again by Enter.',
    '',
  ].join('\n');
}
