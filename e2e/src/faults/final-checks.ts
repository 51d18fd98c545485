/**
 * What must hold once nothing is wrong any more.
 *
 * In: the cluster, and how the keys of all generations looked last. Out: violations. Every table takes
 * writes and linearizable reads through every node; every node holds the same rows; every row is the
 * one that was seen last, or one that a write of unknown end has put there since.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { FlotillaClient } from '@flotilla/client';
import { type FaultCluster } from './fault-cluster.js';
import { type LastSeen } from './generation.js';
import { readValue } from './values.js';

export const PROGRESS_MS = 30_000;
const SAME_MS = 30_000;
const CALL_MS = 2_000;
const PAUSE_MS = 200;
/** More of the same say nothing new. */
const SHOWN_MAX = 10;

interface Row {
  readonly value: string | undefined;
  readonly modRevision: number;
  /** Of everything in it. */
  readonly digest: string;
}

type Rows = ReadonlyMap<string, Row>;

export async function checkFinally(
  nodes: FaultCluster,
  tables: readonly string[],
  lastSeen: readonly LastSeen[],
): Promise<string[]> {
  if (nodes.running.length === 0) return ['no node runs at the end'];
  const clients = nodes.running.map(({ id, apiAddress }) => {
    return { id, client: new FlotillaClient({ endpoints: [apiAddress] }) };
  });
  try {
    const wrong: string[] = [];
    for (const table of tables) {
      for (const { id, client } of clients) wrong.push(...(await whyNoProgress(client, table, id)));
    }
    if (wrong.length > 0) return wrong;
    for (const table of tables) {
      wrong.push(...(await whyNotSame(clients, table)));
      const [first] = clients;
      if (!first) throw new Error('the cluster has no nodes');
      const rows = await rowsOf(first.client, table, true);
      wrong.push(...whyNotExplained(rows, table, lastSeen));
    }
    return wrong;
  } finally {
    for (const { client } of clients) client.close();
  }
}

/** A write and a linearizable read of it through one node. */
async function whyNoProgress(client: FlotillaClient, table: string, id: number): Promise<string[]> {
  const [key, value] = [`end/${id}`, 'end'];
  const why = await untilRight(PROGRESS_MS, async () => {
    await client.put({ table, key, value }, { timeoutMs: CALL_MS });
    const { kvs } = await client.range({ table, key, linearizable: true }, { timeoutMs: CALL_MS });
    return kvs[0]?.value.toString() === value ? [] : ['the write is not there'];
  });
  return why.map((each) => `no progress at table ${table} through node ${id}: ${each}`);
}

/** Every node's own copy against the others. */
async function whyNotSame(
  clients: readonly { readonly id: number; readonly client: FlotillaClient }[],
  table: string,
): Promise<string[]> {
  return untilRight(SAME_MS, async () => {
    const copies = await Promise.all(
      clients.map(async ({ id, client }) => ({ id, rows: await rowsOf(client, table, false) })),
    );
    const [first, ...others] = copies;
    if (!first) return ['no copies'];
    return others.flatMap(({ id, rows }) =>
      differences(first.rows, rows).map(
        (key) => `table ${table}: nodes ${first.id} and ${id} do not hold the same at ${key}`,
      ),
    );
  });
}

function differences(one: Rows, other: Rows): string[] {
  const keys = new Set([...one.keys(), ...other.keys()]);
  return [...keys].filter((key) => one.get(key)?.digest !== other.get(key)?.digest);
}

export function whyNotExplained(
  rows: Rows,
  table: string,
  lastSeen: readonly LastSeen[],
): string[] {
  const wrong: string[] = [];
  for (const { target, value, revision, mayFollow } of lastSeen) {
    if (target.table !== table) continue;
    for (const key of target.keys) {
      const row = rows.get(key);
      const found = row ? (row.value ?? 'bytes that nobody wrote') : null;
      const isSame = found === value && row?.modRevision === revision;
      const isLater = mayFollow.includes(found) && (row?.modRevision ?? Infinity) > (revision ?? 0);
      if (isSame || isLater) continue;
      const was = `${value ?? 'absent'} @${revision ?? 0}`;
      const is = `${found ?? 'absent'} @${row?.modRevision ?? 0}`;
      wrong.push(`table ${table}, key ${key}: was ${was}, is ${is} without anybody having written`);
    }
  }
  return wrong;
}

async function rowsOf(client: FlotillaClient, table: string, linearizable: boolean): Promise<Rows> {
  const rows = new Map<string, Row>();
  const everything = { table, key: '\0', rangeEnd: '\0', linearizable };
  for await (const { kvs } of client.iterateRange(everything, { timeoutMs: SAME_MS })) {
    for (const { key, value, createRevision, modRevision } of kvs) {
      const hash = createHash('sha256').update(`${createRevision} ${modRevision} `).update(value);
      const digest = hash.digest('base64');
      rows.set(key.toString(), { value: readValue(value), modRevision, digest });
    }
  }
  return rows;
}

/** Asks again until nothing is wrong, or the time is up: what was wrong last. */
async function untilRight(timeoutMs: number, ask: () => Promise<string[]>): Promise<string[]> {
  const untilMs = performance.now() + timeoutMs;
  for (;;) {
    let wrong: string[];
    try {
      wrong = await ask();
    } catch (error) {
      // The cluster may need a moment; what matters is how it ends.
      wrong = [error instanceof Error ? error.message : String(error)];
    }
    if (wrong.length === 0) return [];
    if (performance.now() > untilMs) return wrong.slice(0, SHOWN_MAX);
    await sleep(PAUSE_MS);
  }
}
