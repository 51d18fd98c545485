/**
 * Whether all follower clusters hold what the leader cluster holds: the same tables, and in each the same rows
 * with the same revisions and versions.
 *
 * In: the clusters, while nobody writes. Out: what differs, as text; nothing if they are equal.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type FlotillaClient } from '@flotilla/client';
import { type Cluster } from '../../harness/cluster.js';
import { tableHash } from '../../harness/table-hash.js';
import { type SoakClusters } from './soak-clusters.js';

const LOOK_MS = 250;

export interface Equal {
  readonly tables: number;
  readonly rows: number;
  readonly tookMs: number;
}

/** Waits until all clusters are equal; throws with what differs when the time is over. */
export async function untilEqual(clusters: SoakClusters, timeoutMs: number): Promise<Equal> {
  const beganMs = performance.now();
  for (;;) {
    const { found, tables, rows } = await compared(clusters);
    const tookMs = performance.now() - beganMs;
    if (found.length === 0) return { tables, rows, tookMs };
    if (tookMs > timeoutMs) {
      throw new Error(`not equal after ${Math.round(tookMs)} ms:\n${found.join('\n')}`);
    }
    await sleep(LOOK_MS);
  }
}

async function compared({
  leader,
  client,
  sites,
}: SoakClusters): Promise<{ found: string[]; tables: number; rows: number }> {
  const found: string[] = [];
  let rows = 0;
  const names = await namesOf(client);
  for (const { name, client: own } of sites) {
    const here = await namesOf(own);
    if (here.join() !== names.join())
      found.push(`${name} has tables ${here.join()}, not ${names.join()}`);
  }
  if (found.length > 0) return { found, tables: names.length, rows };
  for (const table of names) {
    const there = await shown(leader, table);
    rows += there.rows;
    for (const { name, cluster } of sites) {
      const here = await shown(cluster, table);
      if (here.hash === there.hash) continue;
      found.push(
        `${name}, table ${table}: ${textOf(here)}; in the leader cluster ${textOf(there)}`,
      );
    }
  }
  return { found, tables: names.length, rows };
}

interface Shown {
  readonly hash: string;
  readonly rows: number;
  readonly revision: number;
}

const textOf = ({ hash, rows, revision }: Shown): string =>
  `${rows} rows at revision ${revision}, ${hash.slice(0, 16)}`;

/** By any node of a cluster; what cannot be read is no hash. */
async function shown(cluster: Cluster, table: string): Promise<Shown> {
  let last: unknown;
  for (const address of cluster.endpoints) {
    try {
      return await tableHash(address, table);
    } catch (error) {
      last = error;
    }
  }
  return { hash: `unreadable: ${String(last)}`, rows: 0, revision: 0 };
}

async function namesOf(client: FlotillaClient): Promise<string[]> {
  return (await client.listTables()).map(({ name }) => name).sort();
}
