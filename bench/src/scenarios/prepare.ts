/**
 * Brings a server to where a scenario begins, and waits until it is calm.
 *
 * Keys are loaded by the load client in transactions, counted by a real client, and the server is then
 * restarted: etcd reads slower after many puts until it is, and both shall have the same past.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSeconds } from '@flotilla/e2e/figures';
import { runLoad } from '../load/load-client.js';
import { readRange, type Server } from '../servers/server.js';
import { keyOf, txnTemplate } from './request-templates.js';
import { VALUE_BYTES } from './scenario.js';

/** etcd takes at most 128 operations in a transaction. */
export const LOAD_BATCH = 100;
const LOAD_CONNECTIONS = 4;
const LOAD_STREAMS = 4;
/** Keys that are loaded over the same connections: servers ask to connect anew once a minute. */
const LOAD_PART_KEYS = 200_000;
const CALM_LOOK_MS = 300;
const CALM_WAIT_MS = 30_000;
/** Of one core, all servers together. */
const CALM_PERCENT = 10;

/** Throws unless all keys are there afterwards. */
export async function loadKeys(server: Server, keys: number): Promise<void> {
  for (let first = 0; first < keys; first += LOAD_PART_KEYS) {
    await loadPart(server, first, Math.min(LOAD_PART_KEYS, keys - first));
  }
  await expectKeys(server, keys);
  await server.restart();
  await expectKeys(server, keys);
}

async function loadPart(server: Server, first: number, keys: number): Promise<void> {
  const [host = '', port = ''] = server.address.split(':');
  const template = txnTemplate(server.protocol, LOAD_BATCH, VALUE_BYTES);
  const places = template.keys.map(({ end, add }) => ({ end, add: add + first }));
  await runLoad({
    host,
    port: Number(port),
    connections: LOAD_CONNECTIONS,
    streams: LOAD_STREAMS,
    templates: [{ ...template, keys: places }],
    keys,
    keysEach: LOAD_BATCH,
    course: { kind: 'counted', requests: keys / LOAD_BATCH },
    pids: server.pids,
  });
}

export async function expectKeys(server: Server, keys: number): Promise<void> {
  const all = { key: keyOf(0), rangeEnd: keyOf(keys), countOnly: true, isLinearizable: true };
  const { count } = await readRange(server, all);
  if (count !== keys) throw new Error(`${server.name} has ${count} keys instead of ${keys}`);
}

/** Waits until what servers do by themselves is over, or until that has taken too long. */
export async function calm(servers: readonly Server[]): Promise<boolean> {
  const pids = servers.flatMap((server) => server.pids);
  const used = () => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const untilMs = performance.now() + CALM_WAIT_MS;
  while (performance.now() < untilMs) {
    const before = used();
    await sleep(CALM_LOOK_MS);
    if ((used() - before) / (CALM_LOOK_MS / 1000) < CALM_PERCENT / 100) return true;
  }
  return false;
}
