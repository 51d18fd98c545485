/**
 * Changes of a running cluster, from any node: nodes added, removed, drained; leaders moved.
 *
 * Each is one conditional change of the catalog. What follows from it is the work of the catalog's
 * leader (`ClusterOperator`) and of the leaders of tables (`TableMover`).
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { flotillaV1 } from '@flotilla/proto';
import { encodeNode, encodeRow, decodeRow, nodeKey, tableKey } from '../catalog/catalog-rows.js';
import { type Catalog } from '../catalog/catalog.service.js';
import { type NodeInfo, type NodeState } from '../catalog/catalog-state.js';
import { OPERATION_TIMEOUT_MS } from '../kv/limits.js';
import { type NodeClock } from '../node/node-clock.js';
import { type TableRegistry } from '../tables/table-registry.js';
import { changedNode } from './cluster-operator.js';
import { nextNodeId, whyNodeRefused, whyNotRemoved, type NewNode } from './node-checks.js';
import { invalid } from '../kv/errors.js';

/** How often a lost race is tried again before the caller is told to come back. */
const ATTEMPTS_MAX = 8;
/** How long a new leader is waited for, and how often looked for. */
const TRANSFER_TIMEOUT_MS = 10_000;
const LOOK_MS = 50;

export class ClusterChanges {
  constructor(
    private readonly catalog: Catalog,
    private readonly tables: TableRegistry,
    private readonly clock: NodeClock,
  ) {}

  /** Announces a node; returns its id. Throws GrpcStatusError InvalidArgument, or HostError. */
  async addNode(wanted: NewNode): Promise<number> {
    return this.attempt(async (deadlineMs) => {
      const { nodes } = this.catalog.state;
      const id = wanted.id === 0 ? nextNodeId(nodes) : wanted.id;
      const node = { ...wanted, id };
      const reason = whyNodeRefused(node, nodes);
      if (reason !== undefined) throw invalid(reason);
      const row = encodeNode({
        id: BigInt(id),
        name: node.name,
        raftAddress: node.raftAddress,
        clientUrl: '',
        identity: '',
        state: flotillaV1.NodeRow_State.JOINING,
        replaces: BigInt(node.replaces),
      });
      return (await this.catalog.replace(nodeKey(id), undefined, row, deadlineMs)) ? id : undefined;
    });
  }

  async removeNode(id: number): Promise<void> {
    const refuse = () => whyNotRemoved(id, this.catalog.state.nodes);
    await this.setState(id, refuse, () => 'leaving');
  }

  async drainNode(id: number, undo: boolean): Promise<void> {
    const { nodes } = this.catalog.state;
    const refuse = () => (undo ? whyNotUndrained(nodes.get(id), id) : whyNotRemoved(id, nodes));
    await this.setState(id, refuse, ({ state }) => {
      if (undo) return 'active';
      return state === 'leaving' ? 'leaving' : 'drained';
    });
  }

  /** Has a node lead a table, 0 for the one that should; settles once it does. Returns the node. */
  async transferLeader(name: string, to: number): Promise<number> {
    const leader = await this.preferLeader(name, to);
    const info = this.catalog.state.tables.get(name);
    const running = info && this.tables.get(info.id);
    // A node without a replica cannot see who leads; the change happens all the same.
    if (!running) return leader;
    const untilMs = this.clock.nowMs() + TRANSFER_TIMEOUT_MS;
    while (running.group.status().leader !== leader) {
      if (this.clock.nowMs() > untilMs) {
        throw new GrpcStatusError(status.UNAVAILABLE, `node ${leader} does not lead the table yet`);
      }
      if (running.group.isLeader) running.group.transferLeader(leader);
      await this.clock.sleep(LOOK_MS);
    }
    return leader;
  }

  /** Which node is to lead a table; 0 in `to` leaves it as it is. Returns the node. */
  private async preferLeader(name: string, to: number): Promise<number> {
    return this.attempt(async (deadlineMs) => {
      const table = this.catalog.state.tables.get(name);
      if (!table) throw invalid('table not found');
      if (to === 0 || to === table.preferredLeader) return table.preferredLeader;
      if (!table.replicas.includes(to)) {
        const holders = table.replicas.join(', ');
        throw invalid(`to: node ${to} holds no replica of the table; nodes ${holders} do`);
      }
      const row = encodeRow({ ...decodeRow(table.stored), preferredLeader: BigInt(to) });
      const done = await this.catalog.replace(tableKey(name), table.stored, row, deadlineMs);
      return done ? to : undefined;
    });
  }

  private async setState(
    id: number,
    refuse: () => string | undefined,
    next: (node: NodeInfo) => NodeState,
  ): Promise<void> {
    await this.attempt(async (deadlineMs) => {
      const reason = refuse();
      const node = this.catalog.state.nodes.get(id);
      if (reason !== undefined || !node) throw invalid(reason ?? `id ${id} is no member`);
      const state = next(node);
      if (state === node.state) return true;
      const row = encodeNode(changedNode(node, { state }));
      return (await this.catalog.replace(nodeKey(id), node.stored, row, deadlineMs)) || undefined;
    });
  }

  /** Reads, decides and writes until nobody else was faster. */
  private async attempt<T>(change: (deadlineMs: number) => Promise<T | undefined>): Promise<T> {
    const deadlineMs = this.catalog.deadline(OPERATION_TIMEOUT_MS);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      await this.catalog.barrier(deadlineMs);
      const done = await change(deadlineMs);
      if (done !== undefined) return done;
    }
    throw new GrpcStatusError(status.UNAVAILABLE, 'the cluster changes too fast, try again later');
  }
}

function whyNotUndrained(node: NodeInfo | undefined, id: number): string | undefined {
  if (!node) return `id ${id} is no member of the cluster`;
  if (node.state === 'drained' || node.state === 'active') return undefined;
  return `id ${id} is ${node.state}: only a drained node becomes active again`;
}
