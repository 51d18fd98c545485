/**
 * `bootstrap`: how soon a fresh follower cluster has its first data, and all of it; and how soon a table
 * is there that is created while everything runs.
 */
import type { FlotillaClient } from '@flotilla/client';
import { ClusterPair, eachOf, until } from './cluster-pair.js';
import type { Figures } from './replication-report.js';
import type { ReplicationOptions } from './replication-options.js';

const TABLE = 'bootstrap';
const VALUE = Buffer.alloc(100, 'v');
const CONCURRENCY = 64;
const WAIT_MS = 30 * 60_000;
const LATER_TABLES = 5;

export async function measureBootstrap(options: ReplicationOptions): Promise<Figures> {
  const pair = await ClusterPair.start(options);
  try {
    await pair.leader.createTable(TABLE);
    await eachOf(options.keys, CONCURRENCY, (nth) =>
      pair.leader.put({ table: TABLE, key: `key-${nth}`, value: VALUE }),
    );
    const last = await pair.leaderIndex(TABLE);
    const startMs = performance.now();
    await pair.startFollowerNode();
    const nodeMs = performance.now();
    await pair.startGateway();
    const readyMs = performance.now();
    await until('a key is there', WAIT_MS, () => hasKeys(pair.follower, TABLE));
    const firstMs = performance.now();
    await pair.untilCopied(TABLE, last, WAIT_MS);
    const allMs = performance.now();
    const later: number[] = [];
    for (let nth = 0; nth < LATER_TABLES; nth++) later.push(await createLater(pair, nth));
    later.sort((a, b) => a - b);
    return {
      keys: options.keys,
      nodeStartMs: nodeMs - startMs,
      gatewayStartMs: readyMs - nodeMs,
      firstDataMs: firstMs - readyMs,
      allDataMs: allMs - readyMs,
      laterTableP50Ms: later[Math.floor(later.length / 2)] ?? NaN,
      laterTableMaxMs: later.at(-1) ?? NaN,
    };
  } finally {
    await pair.dispose();
  }
}

/** From the acknowledgement of its first write to when that is served. */
async function createLater(pair: ClusterPair, nth: number): Promise<number> {
  const table = `later-${nth}`;
  await pair.leader.createTable(table);
  await pair.leader.put({ table, key: 'first', value: VALUE });
  const sinceMs = performance.now();
  await until(`${table} is there`, WAIT_MS, () => hasKeys(pair.follower, table));
  return performance.now() - sinceMs;
}

async function hasKeys(client: FlotillaClient, table: string): Promise<boolean> {
  const { tables } = await client.replication.status();
  if (!tables.some((each) => each.table === table)) return false;
  const { kvs } = await client.range({ table, key: '\0', rangeEnd: '\0', limit: 1 });
  return kvs.length > 0;
}
