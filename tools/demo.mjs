// `npm run demo`: a leader cluster of three nodes and two follower clusters of one node, each with a
// gateway, on free ports of this machine; prints what to try. `--link-delay-ms N` makes the way between
// the leader cluster and the others that long, each way. The data is in a temporary folder, with what
// each process prints in a file beside it, and goes when Ctrl-C stops all.
import { spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBuilt, ensureInstalled, nodeProgram, PROGRAMS, ROOT } from './setup.mjs';

const NODES = 3;
const FOLLOWERS = ['east', 'west'];
const DELAY_MS_MAX = 10_000;
const STOP_MS = 30_000;
const GATEWAY = [join(ROOT, 'apps/replication-gateway/dist/main.js')];

const { values } = parseArgs({ options: { 'link-delay-ms': { type: 'string', default: '0' } } });
const delayMs = Number(values['link-delay-ms']);
if (!Number.isInteger(delayMs) || delayMs < 0 || delayMs > DELAY_MS_MAX) {
  const text = values['link-delay-ms'];
  console.error(`--link-delay-ms: expected a number from 0 to ${DELAY_MS_MAX}, not "${text}"`);
  process.exit(2);
}
ensureInstalled();
ensureBuilt(delayMs === 0 ? PROGRAMS : [...PROGRAMS, 'e2e']);
const { freePort } = await import('../libs/grpc/dist/testing/free-port.js');

const folder = mkdtempSync(join(tmpdir(), 'flotilla-demo-'));
const running = new Map();
const proxies = [];
let stopping = false;

process.on('SIGINT', () => stop());
process.on('SIGTERM', () => stop('SIGTERM'));

const local = async () => `127.0.0.1:${await freePort()}`;
const url = async () => `http://${await local()}`;
const leader = {
  raft: await Promise.all(Array.from({ length: NODES }, local)),
  api: await Promise.all(Array.from({ length: NODES }, url)),
  gateway: await url(),
};
const members = leader.raft.map((address, at) => `${at + 1}=${address}`).join(',');
const started = leader.raft.map(async (address, at) =>
  node(`leader-${at + 1}`, 'leader', leader.api[at], address, [
    `--raft.node-id=${at + 1}`,
    `--raft.initial-members=${members}`,
  ]),
);
started.push(
  start('leader-gateway', GATEWAY, [
    'leader',
    `--replication.address=${leader.gateway}`,
    `--cluster.addresses=${leader.api.join(',')}`,
    `--rest.address=${await url()}`,
  ]),
);
const followers = await Promise.all(FOLLOWERS.map(async (name) => ({ name, api: await url() })));
for (const { name, api } of followers) {
  const from = `--replication.leader-address=${await wayTo(leader.gateway)}`;
  started.push(node(name, 'follower', api, await local(), [from]));
  const flags = [from, `--cluster.addresses=${api}`, `--rest.address=${await url()}`];
  started.push(start(`${name}-gateway`, GATEWAY, ['follower', ...flags]));
}
await Promise.all(started);
if (!stopping) console.log(welcome());

/** Settles once it serves, or all is over. */
async function node(name, role, api, raft, flags) {
  await start(name, nodeProgram(role), [
    `--data-dir=${join(folder, name)}`,
    `--api.address=${api}`,
    `--api.advertise-address=${api}`,
    `--raft.address=${raft}`,
    `--rest.address=${await url()}`,
    ...flags,
  ]);
}

function start(name, program, args) {
  if (stopping) return Promise.resolve();
  const child = spawn(process.execPath, [...program, ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  running.set(name, child);
  const log = createWriteStream(join(folder, `${name}.log`));
  for (const stream of [child.stdout, child.stderr]) stream.pipe(log, { end: false });
  return new Promise((resolve) => {
    child.on('message', (message) => message?.type === 'ready' && resolve());
    child.on('exit', (code, signal) => {
      ended(name, signal ?? `code ${code}`);
      resolve();
    });
  });
}

function ended(name, how) {
  running.delete(name);
  if (!stopping) {
    console.log(`\n${name} ended (${how}); the others go on. Its output: ${folder}/${name}.log\n`);
  }
  if (running.size > 0) return;
  for (const proxy of proxies) proxy.close();
  rmSync(folder, { recursive: true, force: true });
  process.exit(stopping ? 0 : 1);
}

/** Ctrl-C reaches all processes by themselves, as members of the same terminal. */
function stop(signal) {
  if (stopping) return;
  stopping = true;
  console.log('\nStopping all ...');
  if (signal) for (const child of running.values()) child.kill(signal);
  setTimeout(() => {
    for (const child of running.values()) child.kill('SIGKILL');
  }, STOP_MS).unref();
}

/** The address itself, or that of a detour that takes as long as was asked for. */
async function wayTo(address) {
  if (delayMs === 0) return address;
  const { DelayProxy } = await import('../e2e/dist/harness/delay-proxy.js');
  const proxy = await DelayProxy.start(address, delayMs);
  proxies.push(proxy);
  return proxy.address;
}

function welcome() {
  const [east, west] = followers;
  const far = delayMs === 0 ? '' : `, ${delayMs} ms away from the leader cluster, each way`;
  return [
    '',
    `A leader cluster of ${NODES} nodes and ${FOLLOWERS.length} follower clusters are ready${far}`,
    `  leader   gRPC ${leader.api.join(' ')}   gateway ${leader.gateway}`,
    ...followers.map(({ name, api }) => `  ${name}     gRPC ${api}`),
    `  what each process prints is in ${folder}`,
    'Try, in another terminal:',
    `  npx flotilla table create demo --endpoints ${leader.api[0]}`,
    `  npx flotilla put --table demo hello world --endpoints ${west.api}`,
    `  npx flotilla get --table demo hello --endpoints ${west.api}`,
    `  npx flotilla get --table demo hello --endpoints ${east.api}`,
    `  npx flotilla put --table demo hello again --endpoints ${leader.api[NODES - 1]}`,
    `  npx flotilla replication status --endpoints ${east.api}`,
    'The put at west is done by the leader cluster, and answered once it can be read at west.',
    'Ctrl-C stops all.',
    '',
  ].join('\n');
}
