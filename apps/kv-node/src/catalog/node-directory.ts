/**
 * Who the other nodes are: what the catalog says, and before it says anything, the first members of
 * the configuration.
 */
import { type KnownNode, type PeerDirectory } from '../peers/hello.js';
import { type NodeInfo } from './catalog-state.js';

export class NodeDirectory implements PeerDirectory {
  private nodes: ReadonlyMap<number, NodeInfo> = new Map();

  constructor(
    private readonly self: number,
    private readonly firstMembers: ReadonlyMap<number, string>,
  ) {}

  /** The catalog's nodes, kept up to date by whoever owns them. */
  useCatalog(nodes: ReadonlyMap<number, NodeInfo>): void {
    this.nodes = nodes;
  }

  find(nodeId: number): KnownNode | undefined {
    const node = this.nodes.get(nodeId);
    if (node) {
      const { raftAddress, identity, state } = node;
      const [removed, joining] = [state === 'removed', state === 'joining'];
      return { address: raftAddress, identity, removed, joining };
    }
    const address = this.firstMembers.get(nodeId);
    if (address === undefined) return undefined;
    return { address, identity: '', removed: false, joining: false };
  }

  *others(): Iterable<number> {
    const ids = new Set([...this.nodes.keys(), ...this.firstMembers.keys()]);
    for (const id of ids) if (id !== this.self && this.find(id)?.removed === false) yield id;
  }
}
