/**
 * A cluster of real kv-node processes on this machine: started, killed, paused, replaced.
 *
 * Ports are chosen once and stay over restarts. Node ids begin at 1; `node(1)` is the first.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FlotillaClient } from '@flotilla/client';
import { createGrpcClient } from '@flotilla/grpc';
import { freePort } from '@flotilla/grpc/testing';
import { clusterV1 } from '@flotilla/proto';
import { NodeProcess, temporaryFolder } from './node-process.js';

const WAIT_MS = 150_000;
const LOOK_MS = 50;
const CALL_MS = 30_000;

export interface ClusterOptions {
  /** `leader` if absent. */
  readonly role?: 'leader' | 'follower';
  readonly flags?: readonly string[];
  /** Options of Node itself. */
  readonly execArgv?: readonly string[];
  /** File operations of every node can be made to fail. */
  readonly diskFaults?: boolean;
  /** Variables of a node's environment, asked for before it is started for the first time. */
  readonly environment?: (id: number, raftAddress: string) => Promise<Record<string, string>>;
  /** Whether what the nodes print goes to files of the cluster's folder as well. */
  readonly keepsLogs?: boolean;
}

interface Codec<Request, Answer> {
  readonly request: { fromPartial(fields: Partial<Request>): Request } & {
    encode(message: Request): { finish(): Uint8Array };
  };
  readonly answer: { decode(bytes: Uint8Array): Answer };
}

export class Cluster {
  readonly folder = temporaryFolder('cluster');
  private readonly nodes = new Map<number, NodeProcess>();
  private readonly clients: FlotillaClient[] = [];

  private constructor(private readonly options: ClusterOptions) {}

  /** Settles once all nodes serve. */
  static async start(size: number, options: ClusterOptions = {}): Promise<Cluster> {
    const cluster = new Cluster(options);
    const addresses: string[] = [];
    for (let id = 1; id <= size; id++) addresses.push(`127.0.0.1:${await freePort()}`);
    const members = addresses.map((address, at) => `${at + 1}=${address}`).join(',');
    for (const [at, raftAddress] of addresses.entries()) {
      await cluster.prepare(at + 1, raftAddress, [`--raft.initial-members=${members}`]);
    }
    await Promise.all([...cluster.nodes.values()].map((node) => node.start()));
    return cluster;
  }

  get ids(): number[] {
    return [...this.nodes.keys()];
  }

  get endpoints(): string[] {
    return [...this.nodes.values()].map(({ apiAddress }) => apiAddress);
  }

  node(id: number): NodeProcess {
    const node = this.nodes.get(id);
    if (!node) throw new Error(`there is no node ${id}`);
    return node;
  }

  /** A client of one node, or of all of them. */
  client(id?: number, timeoutMs = CALL_MS): FlotillaClient {
    const endpoints = id === undefined ? this.endpoints : [this.node(id).apiAddress];
    const client = new FlotillaClient({ endpoints, timeoutMs });
    this.clients.push(client);
    return client;
  }

  /** Announces a node and starts it; settles once it serves. */
  async addNode(through: number, fields: { replaces?: number } = {}): Promise<number> {
    const id = await this.announceNode(through, fields);
    await this.node(id).start();
    return id;
  }

  /** Tells the cluster of a node to come, which is ready to be started. */
  async announceNode(through: number, fields: { replaces?: number } = {}): Promise<number> {
    const raftAddress = `127.0.0.1:${await freePort()}`;
    const { id, initialMembers } = await this.change(through, 'AddNode', CODECS.add, {
      raftAddress,
      replaces: BigInt(fields.replaces ?? 0),
    });
    const flags = [`--raft.initial-members=${initialMembers}`, '--raft.join=true'];
    await this.prepare(Number(id), raftAddress, flags);
    return Number(id);
  }

  async removeNode(through: number, id: number): Promise<void> {
    await this.change(through, 'RemoveNode', CODECS.remove, { id: BigInt(id) });
  }

  async drainNode(through: number, id: number, undo = false): Promise<void> {
    await this.change(through, 'DrainNode', CODECS.drain, { id: BigInt(id), undo });
  }

  async rebalance(through: number, dryRun: boolean): Promise<clusterV1.Move[]> {
    return (await this.change(through, 'Rebalance', CODECS.rebalance, { dryRun })).moves;
  }

  async transferLeader(through: number, table: string, to: number): Promise<number> {
    const request = { table, to: BigInt(to) };
    return Number((await this.change(through, 'TransferLeader', CODECS.transfer, request)).leader);
  }

  async listNodes(through: number): Promise<clusterV1.Node[]> {
    return (await this.change(through, 'ListNodes', CODECS.nodes, {})).nodes;
  }

  async placements(through: number): Promise<clusterV1.Placement[]> {
    return (await this.change(through, 'ListPlacements', CODECS.placements, {})).placements;
  }

  /** The node that leads a table, as the node itself says. */
  async leaderOf(table: string): Promise<number> {
    let leader = 0;
    await waitUntil(`table ${table} has a leader`, async () => {
      for (const [id, node] of this.nodes) {
        if (!node.isRunning) continue;
        const { tables } = await this.client(id).status(false);
        if (tables[table]?.leader === String(id)) leader = id;
      }
      return leader !== 0;
    });
    return leader;
  }

  /** Ends a node and forgets it: it is no member any more. What it has on disk stays. */
  async discard(id: number): Promise<void> {
    await this.node(id).dispose();
    this.nodes.delete(id);
  }

  /** Removes what a node has on disk; it must not run. */
  wipe(id: number): void {
    if (this.node(id).isRunning) throw new Error(`node ${id} runs`);
    rmSync(this.node(id).dataDir, { recursive: true, force: true });
  }

  /** Ends all nodes. With `keepFolder` what they wrote stays, for somebody to look at. */
  async dispose({ keepFolder = false } = {}): Promise<void> {
    for (const client of this.clients) client.close();
    await Promise.all([...this.nodes.values()].map((node) => node.dispose()));
    if (!keepFolder) rmSync(this.folder, { recursive: true, force: true });
  }

  private async prepare(
    id: number,
    raftAddress: string,
    flags: readonly string[],
  ): Promise<NodeProcess> {
    const node = await NodeProcess.prepare({
      dataDir: join(this.folder, String(id)),
      diskFaults: this.options.diskFaults ?? false,
      raftAddress,
      role: this.options.role ?? 'leader',
      execArgv: this.options.execArgv ?? [],
      env: (await this.options.environment?.(id, raftAddress)) ?? {},
      ...(this.options.keepsLogs && { logFile: join(this.folder, `node-${id}.log`) }),
      flags: [`--raft.node-id=${id}`, ...flags, ...(this.options.flags ?? [])],
    });
    this.nodes.set(id, node);
    return node;
  }

  private async change<Request, Answer>(
    through: number,
    method: string,
    { request, answer }: Codec<Request, Answer>,
    fields: Partial<Request>,
  ): Promise<Answer> {
    const client = createGrpcClient(this.node(through).apiAddress);
    try {
      const bytes = request.encode(request.fromPartial(fields)).finish();
      const path = `/flotilla.cluster.v1.Cluster/${method}`;
      return answer.decode(await client.unary(path, bytes, { deadlineMs: CALL_MS }));
    } finally {
      client.close();
    }
  }
}

const CODECS = {
  add: { request: clusterV1.AddNodeRequest, answer: clusterV1.AddNodeResponse },
  remove: { request: clusterV1.RemoveNodeRequest, answer: clusterV1.RemoveNodeResponse },
  drain: { request: clusterV1.DrainNodeRequest, answer: clusterV1.DrainNodeResponse },
  rebalance: { request: clusterV1.RebalanceRequest, answer: clusterV1.RebalanceResponse },
  transfer: { request: clusterV1.TransferLeaderRequest, answer: clusterV1.TransferLeaderResponse },
  nodes: { request: clusterV1.ListNodesRequest, answer: clusterV1.ListNodesResponse },
  placements: {
    request: clusterV1.ListPlacementsRequest,
    answer: clusterV1.ListPlacementsResponse,
  },
};

/** Looks until the condition holds; throws with `what` after a while. */
export async function waitUntil(
  what: string,
  holds: () => Promise<boolean> | boolean,
  timeoutMs = WAIT_MS,
): Promise<void> {
  const untilMs = Date.now() + timeoutMs;
  let last: unknown;
  for (let isLast = false; !isLast;) {
    // One look comes after the deadline: this process may have been the one that stood still.
    isLast = Date.now() >= untilMs;
    try {
      if (await holds()) return;
      last = undefined;
    } catch (error) {
      // A node that is going down refuses; what matters is whether it holds in the end.
      last = error;
    }
    await sleep(LOOK_MS);
  }
  throw new Error(`not so in ${timeoutMs} ms: ${what}`, { cause: last });
}
