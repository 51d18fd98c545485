/**
 * Who leads the groups of tables: the node that the catalog prefers, where it can; and nobody here
 * when this node is about to stop.
 *
 * A preferred node gets its groups back once it has lived for a while and has everything; a few at a
 * time, because a group takes no writes for the moment of a change.
 */
import { type ApplyResult } from '@flotilla/mvcc';
import { type Group } from '@flotilla/raft';
import { type CatalogState } from '../catalog/catalog-state.js';
import { type NodeClock } from '../node/node-clock.js';
import { type PeerNetwork } from '../peers/peer-network.js';
import { type TableRegistry } from '../tables/table-registry.js';

/** Groups handed over in one look. */
export const TRANSFERS_MAX = 32;
/** Ticks that a node has to live before it gets groups to lead. */
const SETTLED_TICKS = 60;
const HAND_OVER_PAUSE_MS = 20;
/** Ticks of asking once more while a group does not change hands. */
const HAND_OVER_RETRY = 25;

export class Leadership {
  private stopping = false;

  constructor(
    private readonly state: CatalogState,
    private readonly registry: TableRegistry,
    private readonly catalogGroup: Group<ApplyResult>,
    private readonly network: PeerNetwork,
    private readonly self: number,
    private readonly clock: NodeClock,
  ) {}

  /** Hands groups to the nodes that should lead them. */
  spread(): void {
    if (this.network.draining) return;
    let left = TRANSFERS_MAX;
    for (const { id, group } of this.registry.all()) {
      if (left === 0) return;
      if (!group.isLeader) continue;
      const preferred = this.state.tablesById.get(id)?.preferredLeader ?? this.self;
      if (preferred === this.self || !this.mayLead(preferred)) continue;
      if (!isUpToDate(group, preferred)) continue;
      group.transferLeader(preferred);
      left--;
    }
  }

  /** Groups that this node leads, the catalog's included. */
  led(): Group<ApplyResult>[] {
    const groups = [this.catalogGroup, ...Array.from(this.registry.all(), ({ group }) => group)];
    return groups.filter((group) => group.isLeader && heirOf(group, this.self, this.network));
  }

  /** While this node cannot write, others are asked to lead, again with every call. */
  stepAside(aside: boolean): void {
    if (this.stopping) return;
    this.network.draining = aside;
    if (aside) this.askHeirs(this.led());
  }

  /** Before the node stops: others lead when this settles, or the time is over. */
  async handOverAll(timeoutMs: number): Promise<{ readonly left: number }> {
    this.stopping = true;
    this.network.draining = true;
    const untilMs = this.clock.nowMs() + timeoutMs;
    for (let round = 0; ; round++) {
      const led = this.led();
      if (led.length === 0 || this.clock.nowMs() > untilMs) return { left: led.length };
      if (round % HAND_OVER_RETRY === 0) this.askHeirs(led);
      await this.clock.sleep(HAND_OVER_PAUSE_MS);
    }
  }

  private askHeirs(led: readonly Group<ApplyResult>[]): void {
    for (const group of led) {
      const heir = heirOf(group, this.self, this.network);
      if (heir !== undefined) group.transferLeader(heir);
    }
  }

  private mayLead(node: number): boolean {
    const { network } = this;
    return network.aliveTicks(node) >= SETTLED_TICKS && !network.isDraining(node);
  }
}

function isUpToDate(group: Group<ApplyResult>, node: number): boolean {
  const member = group.progress().get(node);
  return member !== undefined && !member.isLearner && member.match === group.status().lastIndex;
}

/** The voter that has the most and lives on. */
function heirOf(group: Group<ApplyResult>, self: number, network: PeerNetwork): number | undefined {
  let best: number | undefined;
  let bestMatch = -1;
  for (const [node, { match, isLearner }] of group.progress()) {
    if (node === self || isLearner || !network.isAlive(node) || network.isDraining(node)) continue;
    if (match > bestMatch) [best, bestMatch] = [node, match];
  }
  return best;
}
