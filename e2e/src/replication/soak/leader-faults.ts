/**
 * What goes wrong in a leader cluster while it is followed: nodes and gateways that are killed, tables that are made
 * anew or restored, and the cluster itself, set back to what it was earlier.
 *
 * In: the clusters. Out: the same, with everything running again. A fault that could not be done gives false.
 */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGrpcClient } from '@flotilla/grpc';
import { applyV1 } from '@flotilla/proto';
import { type Cluster, waitUntil } from '../../harness/cluster.js';
import { type Random } from '../../faults/random.js';
import { type FollowerSite, type SoakClusters } from './soak-clusters.js';
import { readBackup, restore } from './table-restore.js';

const DOWN_MS_MAX = 4_000;
const TABLE_MS = 60_000;
const CALL_MS = 20_000;
const ROWS_OF_NEW_TABLE = 20;
const RESTORE_TRIES = 3;

/** One node of a cluster, down for a moment. */
export async function killNode(cluster: Cluster, random: Random): Promise<boolean> {
  const node = cluster.node(random.pick(cluster.ids));
  await node.kill();
  await sleep(random.below(DOWN_MS_MAX));
  await node.start();
  return true;
}

export async function killLeaderGateway(clusters: SoakClusters, random: Random): Promise<boolean> {
  const gateway = random.pick(clusters.leaderGateways);
  await gateway.kill();
  await sleep(random.below(DOWN_MS_MAX));
  await gateway.start();
  return true;
}

/** Deleted and made again under its name. */
export async function recreateTable({ client }: SoakClusters, table: string): Promise<boolean> {
  const before = await idOf({ client }, table);
  await waitUntil(
    `table ${table} is a new one`,
    async () => {
      const now = await idOf({ client }, table);
      if (now !== undefined && now !== before) return true;
      if (now === undefined) await client.createTable(table);
      else await client.deleteTable(table);
      return false;
    },
    TABLE_MS,
  );
  for (let nth = 0; nth < ROWS_OF_NEW_TABLE; nth++) {
    const row = { table, key: `new ${nth}`, value: `of ${Date.now()}` };
    // Other faults are under way: whichever are written, the clusters have to agree on them.
    await client.put(row).catch(() => undefined);
  }
  return true;
}

/** Set back to what it was a moment ago, as a restore in place does it. */
export async function restoreTable(
  clusters: SoakClusters,
  table: string,
  random: Random,
): Promise<boolean> {
  for (let left = RESTORE_TRIES; left > 0; left--) {
    try {
      const address = random.pick(clusters.leader.endpoints);
      const backup = await readBackup(address, table);
      await sleep(random.between(200, 1_000));
      const id = await idOf(clusters, table);
      if (id === undefined) return false;
      await restore(address, backup, `restore/soak-${random.below(2 ** 30)}`, id);
      return true;
    } catch {
      // Its node was killed meanwhile: a restore that broke leaves the table as it is.
      await sleep(DOWN_MS_MAX / 2);
    }
  }
  return false;
}

/** What all nodes of a cluster have on disk, at one moment. */
export class OlderState {
  private constructor(
    private readonly cluster: Cluster,
    private readonly folder: string,
  ) {}

  /** Nobody may write meanwhile: what is acknowledged after this is going to be lost. */
  static async copyOf(cluster: Cluster): Promise<OlderState> {
    const older = new OlderState(cluster, join(cluster.folder, 'older'));
    await older.whileDown(() => {
      rmSync(older.folder, { recursive: true, force: true });
      for (const id of cluster.ids) cpSync(cluster.node(id).dataDir, older.of(id), TREE);
    });
    return older;
  }

  async putBack(): Promise<void> {
    await this.whileDown(() => {
      for (const id of this.cluster.ids) {
        this.cluster.wipe(id);
        cpSync(this.of(id), this.cluster.node(id).dataDir, TREE);
      }
    });
  }

  private of(id: number): string {
    return join(this.folder, String(id));
  }

  private async whileDown(task: () => void): Promise<void> {
    const nodes = this.cluster.ids.map((id) => this.cluster.node(id));
    await Promise.all(nodes.map((node) => node.kill()));
    task();
    await Promise.all(nodes.map((node) => node.start()));
  }
}

/** The lock of a folder is a socket, made anew at each start. */
const TREE = { recursive: true, filter: (path: string) => !path.endsWith('.sock') } as const;

/** What an operator does after a leader cluster was set back: all copies are made anew. */
export async function deleteCopies({ cluster, client }: FollowerSite): Promise<number> {
  const path = (method: string) => `/flotilla.replication.v1.ReplicaApply/${method}`;
  let deleted = 0;
  for (const { name } of await client.listTables()) {
    await waitUntil(`the copy of ${name} is deleted`, async () => {
      const [address = ''] = cluster.endpoints;
      const grpc = createGrpcClient(address);
      try {
        const options = { deadlineMs: CALL_MS };
        const listed = await grpc.unary(path('ListReplicas'), new Uint8Array(0), options);
        const { replicas } = applyV1.ListReplicasResponse.decode(listed);
        const replica = replicas.find(({ table }) => table === name);
        if (!replica) return true;
        const request = applyV1.DeleteReplicaRequest.encode({
          table: name,
          source: replica.source,
        });
        const answer = await grpc.unary(path('DeleteReplica'), request.finish(), options);
        return applyV1.DeleteReplicaResponse.decode(answer).outcome === DELETED;
      } finally {
        grpc.close();
      }
    });
    deleted++;
  }
  return deleted;
}

const { DELETED } = applyV1.DeleteReplicaResponse_Outcome;

async function idOf(
  { client }: Pick<SoakClusters, 'client'>,
  table: string,
): Promise<string | undefined> {
  const tables = await client.listTables({ timeoutMs: CALL_MS });
  return tables.find(({ name }) => name === table)?.id;
}
