/**
 * Three real nodes whose links to each other can be held, cut and slowed, and whose members change.
 *
 * In: nothing but its size. Out: the cluster, its links, its members by slot: a node that was replaced
 * leaves its slot to the new one.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { FlotillaClient } from '@flotilla/client';
import { Cluster } from '../harness/cluster.js';
import { ROOT } from '../harness/node-process.js';
import { type Member } from './client-pool.js';
import { LinkProxy } from './link-proxy.js';
import { SLOTS } from './schedule.js';

/** The log is cut every few entries: whoever was away needs a snapshot more often than not. */
const FLAGS = [
  '--raft.snapshot-entries=200',
  '--replication.log-retention-bytes=0',
  '--raft.compaction-overhead=50',
  '--raft.log-bytes-max=1000000',
];
const SHIM = pathToFileURL(join(ROOT, 'e2e/src/faults/peer-shim.mjs')).href;
const STATUS_MS = 1_000;

export class FaultCluster {
  private readonly observers = new Map<number, FlotillaClient>();
  private readonly killAll = (): void => {
    for (const id of this.cluster.ids) this.cluster.node(id).signal('SIGKILL');
  };

  private constructor(
    readonly cluster: Cluster,
    readonly links: LinkProxy,
    /** Node ids by slot. */
    readonly slots: number[],
  ) {}

  static async start(): Promise<FaultCluster> {
    const links = new LinkProxy();
    const environment = async (id: number, raftAddress: string) => ({
      NODE_OPTIONS: `--import=${SHIM}`,
      PEER_PROXY_PORT: String(await links.addNode(id, raftAddress)),
    });
    try {
      const cluster = await Cluster.start(SLOTS, { flags: FLAGS, environment, keepsLogs: true });
      const nodes = new FaultCluster(cluster, links, cluster.ids);
      // One that is stopped by a signal would not notice that its parent is gone.
      process.once('exit', nodes.killAll);
      return nodes;
    } catch (error) {
      links.close();
      throw error;
    }
  }

  get folder(): string {
    return this.cluster.folder;
  }

  get members(): Member[] {
    return this.membersOf(this.slots);
  }

  /** Those whose processes run now. */
  get running(): Member[] {
    return this.membersOf(this.slots.filter((id) => this.cluster.node(id).isRunning));
  }

  private membersOf(ids: readonly number[]): Member[] {
    return ids.map((id) => ({ id, apiAddress: this.cluster.node(id).apiAddress }));
  }

  idAt(slot: number): number {
    const id = this.slots[slot % this.slots.length];
    if (id === undefined) throw new RangeError(`there is no slot ${slot}`);
    return id;
  }

  /** The node that leads a table as most lately heard; undefined if nobody says. */
  async leaderOf(table: string): Promise<number | undefined> {
    const said = await Promise.all(this.slots.map((id) => this.leaderAsSeenBy(id, table)));
    const newest = said.reduce((best, one) => (one.term > best.term ? one : best));
    return this.slots.includes(newest.leader) ? newest.leader : undefined;
  }

  /** A new node took the place of another one, which is gone. */
  async replaced(before: number, after: number): Promise<void> {
    this.slots[this.slots.indexOf(before)] = after;
    this.observers.get(before)?.close();
    this.observers.delete(before);
    await this.cluster.discard(before);
  }

  async dispose({ keepFolder = false } = {}): Promise<void> {
    for (const client of this.observers.values()) client.close();
    await this.cluster.dispose({ keepFolder });
    this.links.close();
    process.off('exit', this.killAll);
  }

  private async leaderAsSeenBy(
    id: number,
    table: string,
  ): Promise<{ term: number; leader: number }> {
    const nobody = { term: -1, leader: 0 };
    if (!this.cluster.node(id).isRunning) return nobody;
    let observer = this.observers.get(id);
    if (!observer) {
      observer = new FlotillaClient({ endpoints: [this.cluster.node(id).apiAddress] });
      this.observers.set(id, observer);
    }
    try {
      const { tables } = await observer.status(false, { timeoutMs: STATUS_MS });
      const status = tables[table];
      return status ? { term: Number(status.raftTerm), leader: Number(status.leader) } : nobody;
    } catch {
      // It is paused, or about to start or end: the others may know.
      return nobody;
    }
  }
}
