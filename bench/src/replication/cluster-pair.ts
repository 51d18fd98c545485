/**
 * What the replication benchmarks measure: a leader cluster with a gateway, and a follower cluster of
 * one node with as many gateways as are asked for; between them a way as long as is asked for.
 *
 *   nodes <-- leader gateway <-- proxy, if there is a delay <-- follower gateway --> follower node
 *
 * All are real processes with the settings of a user who sets none but those given.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ReplicationState, FlotillaClient, type TableReplication } from '@flotilla/client';
import { Cluster, DelayProxy, GatewayProcess, NodeProcess } from '@flotilla/e2e/harness';
import type { NamedProcess } from '../measure/process-watch.js';

const CALL_MS = 60_000;
const LOOK_MS = 20;

export interface PairOptions {
  readonly nodes: number;
  readonly linkDelayMs: number;
  /** Of the nodes of the leader cluster. */
  readonly leaderFlags?: readonly string[];
  /** What passes between the clusters is counted, also without a delay. */
  readonly countsTraffic?: boolean;
}

export class ClusterPair {
  readonly leader: FlotillaClient;
  private readonly gateways: GatewayProcess[] = [];
  private followerNode: NodeProcess | undefined;
  private followerClient: FlotillaClient | undefined;

  private constructor(
    private readonly cluster: Cluster,
    private readonly leaderGateway: GatewayProcess,
    readonly proxy: DelayProxy | undefined,
  ) {
    this.leader = cluster.client(undefined, CALL_MS);
  }

  /** Only the leader cluster with its gateway. */
  static async start(options: PairOptions): Promise<ClusterPair> {
    const { nodes, linkDelayMs, leaderFlags = [], countsTraffic = false } = options;
    const cluster = await Cluster.start(nodes, { flags: leaderFlags });
    try {
      const gateway = await GatewayProcess.start(cluster.endpoints);
      const isDetour = linkDelayMs > 0 || countsTraffic;
      const proxy = isDetour ? await DelayProxy.start(gateway.address, linkDelayMs) : undefined;
      return new ClusterPair(cluster, gateway, proxy);
    } catch (error) {
      await cluster.dispose();
      throw error;
    }
  }

  /** What follower clusters connect to. */
  get leaderAddress(): string {
    return this.proxy?.address ?? this.leaderGateway.address;
  }

  get node(): NodeProcess {
    if (!this.followerNode) throw new Error('the follower cluster was not started');
    return this.followerNode;
  }

  get follower(): FlotillaClient {
    if (!this.followerClient) throw new Error('the follower cluster was not started');
    return this.followerClient;
  }

  get processes(): NamedProcess[] {
    const { cluster, leaderGateway, followerNode } = this;
    return [
      ...cluster.ids.map((id) => ({ name: `leader node ${id}`, pid: cluster.node(id).pid })),
      { name: 'leader gateway', pid: leaderGateway.pid },
      ...(followerNode ? [{ name: 'follower node', pid: followerNode.pid }] : []),
      ...this.gateways
        .filter(({ isRunning }) => isRunning)
        .map(({ pid }, at) => ({ name: `follower gateway ${at + 1}`, pid })),
    ];
  }

  async startFollowerNode(): Promise<void> {
    const flags = [`--replication.leader-address=${this.leaderAddress}`];
    this.followerNode = await NodeProcess.start({ role: 'follower', flags });
    const endpoints = [this.followerNode.apiAddress];
    this.followerClient = new FlotillaClient({ endpoints, timeoutMs: CALL_MS });
  }

  async startGateway(): Promise<GatewayProcess> {
    const gateway = await GatewayProcess.startFollower([this.node.apiAddress], this.leaderAddress);
    this.gateways.push(gateway);
    return gateway;
  }

  /** Where the leader cluster's log of a table ends. */
  async leaderIndex(table: string): Promise<number> {
    const { tables } = await this.leader.status();
    return Number(tables[table]?.raftAppliedIndex ?? 0n);
  }

  replication(): Promise<ReplicationState> {
    return this.follower.replication.status();
  }

  /** Undefined while there is no copy. */
  async copy(table: string): Promise<TableReplication | undefined> {
    return (await this.replication()).tables.find((each) => each.table === table);
  }

  /** Settles once the copy has the revision; tells what it had at each look. */
  async untilCopied(
    table: string,
    revision: number,
    timeoutMs: number,
    looked: (revision: number) => void = () => undefined,
  ): Promise<void> {
    await until(`${table} is copied up to ${revision}`, timeoutMs, async () => {
      const now = (await this.copy(table))?.revision ?? 0;
      looked(now);
      return now >= revision;
    });
  }

  async dispose(): Promise<void> {
    this.followerClient?.close();
    this.proxy?.close();
    for (const gateway of [...this.gateways, this.leaderGateway]) await gateway.kill();
    await this.followerNode?.dispose();
    await this.cluster.dispose();
  }
}

/** Looks often; rejects once the time is over. */
export async function until(
  what: string,
  timeoutMs: number,
  isSo: () => Promise<boolean>,
  lookMs = LOOK_MS,
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(lookMs);
  }
}

/** All of them, some at a time. */
export async function eachOf(
  size: number,
  atOnce: number,
  act: (nth: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let nth = next++; nth < size; nth = next++) await act(nth);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, size) }, worker));
}
