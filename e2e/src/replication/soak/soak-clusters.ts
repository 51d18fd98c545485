/**
 * A leader cluster and follower clusters as real processes, with gateways, and a way between them that can be
 * broken.
 *
 *   leader cluster ── its gateways ──▶ links of a follower cluster ──▶ its gateways ── its nodes
 *
 * In: how many of each. Out: the same, running. Nobody but the links lies between a follower cluster and the
 * leader cluster: forwarded writes go through them too.
 */
import { type FlotillaClient } from '@flotilla/client';
import { Cluster } from '../../harness/cluster.js';
import { GatewayProcess } from '../../harness/gateway-process.js';
import { SwitchedLink } from '../../harness/switched-link.js';

/** Few entries stay in the log: whoever was away for a moment needs a snapshot. */
const LEADER_FLAGS = [
  '--raft.snapshot-entries=1000',
  '--raft.compaction-overhead=50',
  '--replication.log-retention-bytes=0',
];
const FOLLOWER_FLAGS = ['--raft.snapshot-entries=1000', '--raft.compaction-overhead=50'];
/** A whole table takes long enough for something to happen meanwhile. */
const SNAPSHOT_BYTES_PER_SECOND = 2_000_000;
const LOOK_MS = 2_000;

export interface SiteSize {
  readonly nodes: number;
  readonly gateways: number;
}

/** A follower cluster with its gateways. */
export class FollowerSite {
  private constructor(
    readonly name: string,
    readonly cluster: Cluster,
    readonly links: readonly SwitchedLink[],
    readonly gateways: readonly GatewayProcess[],
    readonly client: FlotillaClient,
  ) {}

  static async start(
    name: string,
    leaders: readonly GatewayProcess[],
    size: SiteSize,
  ): Promise<FollowerSite> {
    const links = await Promise.all(leaders.map(({ address }) => SwitchedLink.start(address)));
    const ways = links.map(({ address }) => address).join(',');
    const flags = [...FOLLOWER_FLAGS, `--replication.leader-address=${ways}`];
    const cluster = await Cluster.start(size.nodes, { role: 'follower', flags });
    const gateways: GatewayProcess[] = [];
    for (let nth = 0; nth < size.gateways; nth++) {
      const bandwidth = `--replication.max-snapshot-recv-bytes-per-second=${SNAPSHOT_BYTES_PER_SECOND}`;
      gateways.push(await GatewayProcess.startFollower(cluster.endpoints, ways, [bandwidth]));
    }
    return new FollowerSite(name, cluster, links, gateways, cluster.client());
  }

  /** The gateway that pulls a table now, as it says itself. */
  async pullerOf(table: string): Promise<GatewayProcess | undefined> {
    const line = new RegExp(`^regatta_replication_leased\\{table="${table}"\\} 1`, 'm');
    for (const gateway of this.gateways) {
      if (line.test(await scrape(gateway))) return gateway;
    }
    return undefined;
  }

  async dispose(): Promise<void> {
    for (const gateway of this.gateways) await gateway.kill();
    await this.cluster.dispose();
    for (const link of this.links) link.close();
  }
}

export class SoakClusters {
  private readonly killAll = (): void => {
    for (const gateway of this.gateways) gateway.signal('SIGKILL');
    for (const cluster of [this.leader, ...this.sites.map((site) => site.cluster)]) {
      for (const id of cluster.ids) cluster.node(id).signal('SIGKILL');
    }
  };

  private constructor(
    readonly leader: Cluster,
    readonly leaderGateways: readonly GatewayProcess[],
    readonly sites: readonly FollowerSite[],
    readonly client: FlotillaClient,
  ) {
    // A process that is stopped by a signal would not notice that its parent is gone.
    process.once('exit', this.killAll);
  }

  static async start(leaderNodes: number, sizes: readonly SiteSize[]): Promise<SoakClusters> {
    const leader = await Cluster.start(leaderNodes, { flags: LEADER_FLAGS });
    const gateways = [
      await GatewayProcess.start(leader.endpoints),
      await GatewayProcess.start(leader.endpoints),
    ];
    const sites: FollowerSite[] = [];
    for (const [at, size] of sizes.entries()) {
      sites.push(await FollowerSite.start(`site-${at + 1}`, gateways, size));
    }
    return new SoakClusters(leader, gateways, sites, leader.client());
  }

  get gateways(): GatewayProcess[] {
    return [...this.leaderGateways, ...this.sites.flatMap(({ gateways }) => gateways)];
  }

  site(at: number): FollowerSite {
    const site = this.sites[at];
    if (!site) throw new RangeError(`there is no follower cluster ${at}`);
    return site;
  }

  /** Idempotent. */
  async dispose(): Promise<void> {
    for (const site of this.sites) await site.dispose();
    for (const gateway of this.leaderGateways) await gateway.kill();
    await this.leader.dispose();
    process.off('exit', this.killAll);
  }
}

/** What a gateway says of itself; nothing if it does not run, or is stopped. */
export async function scrape(gateway: GatewayProcess): Promise<string> {
  try {
    const signal = AbortSignal.timeout(LOOK_MS);
    return await (await fetch(`${gateway.restAddress}/metrics`, { signal })).text();
  } catch {
    // It was killed or paused by a fault: that is no finding.
    return '';
  }
}
