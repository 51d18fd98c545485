/**
 * Brings the members of the groups that this node leads in line with what the catalog wants.
 *
 *   target has new nodes        --> they are added as learners, and fetch what there is
 *   they have caught up         --> they become voters, and who is not wanted goes, by joint consensus
 *   one of them left this term  --> another leader does it, in another term (see FormerMembers)
 *   this node is not wanted     --> a wanted one becomes leader first, and does the rest
 *   members = target            --> the catalog is told that the move is done
 *
 * Looks again and again, and does one step each time: whoever leads the group next goes on from there.
 */
import { type ApplyResult } from '@flotilla/mvcc';
import {
  ConfChangeTransition,
  ConfChangeType,
  HostError,
  type ConfChangeV2,
  type ConfState,
  type Group,
  type MemberProgress,
} from '@flotilla/raft';
import { encodeRow, decodeRow, rowKey } from '../catalog/catalog-rows.js';
import { type Catalog } from '../catalog/catalog.service.js';
import { type TableInfo } from '../catalog/catalog-state.js';
import { type TableRegistry } from '../tables/table-registry.js';

/** A learner that lacks no more entries than this has caught up. */
const CAUGHT_UP_ENTRIES = 100;
const STEP_TIMEOUT_MS = 5_000;

/**
 * Whether a member holds nearly everything. A short log makes no difference: who has not answered yet
 * may be out of reach, and would only count as missing once it votes.
 */
export function hasCaughtUp(member: MemberProgress | undefined, lastIndex: number): boolean {
  if (member === undefined || member.match === 0) return false;
  return member.match + CAUGHT_UP_ENTRIES >= lastIndex;
}

/** What has to be done next for a group to have the members it should. */
export type MemberStep =
  | { readonly kind: 'wait' }
  | { readonly kind: 'change'; readonly change: ConfChangeV2 }
  | { readonly kind: 'hand-over'; readonly to: number }
  | { readonly kind: 'renew-term' }
  | { readonly kind: 'done' };

export interface MemberFacts {
  readonly self: number;
  readonly confState: ConfState;
  readonly wanted: readonly number[];
  readonly preferredLeader: number;
  /** Whether a member lives and holds nearly everything. */
  hasCaughtUp(node: number): boolean;
  /** Whether a node may become a member in this term. */
  mayReturn(node: number): boolean;
}

/** Pure: the next step of a leader. */
export function nextMemberStep(facts: MemberFacts): MemberStep {
  const { confState, wanted, self } = facts;
  const { voters, learners, votersOutgoing } = confState;
  // A joint configuration is left by itself.
  if (votersOutgoing.length > 0) return { kind: 'wait' };
  const missing = wanted.filter((id) => !voters.includes(id) && !learners.includes(id));
  if (!missing.every((id) => facts.mayReturn(id))) return { kind: 'renew-term' };
  if (missing.length > 0) return change(ConfChangeType.AddLearnerNode, missing, []);
  const promote = wanted.filter((id) => learners.includes(id));
  if (!promote.every((id) => facts.hasCaughtUp(id))) return { kind: 'wait' };
  const surplus = [...voters, ...learners].filter((id) => !wanted.includes(id));
  if (!surplus.includes(self)) {
    if (promote.length === 0 && surplus.length === 0) return { kind: 'done' };
    return change(ConfChangeType.AddNode, promote, surplus);
  }
  if (promote.length > 0) return change(ConfChangeType.AddNode, promote, []);
  // The preferred one may be dead: leadership offered to it again and again would never leave here.
  const heirs = wanted.filter((id) => voters.includes(id) && facts.hasCaughtUp(id));
  const preferred = heirs.find((id) => id === facts.preferredLeader) ?? heirs[0];
  return preferred === undefined ? { kind: 'wait' } : { kind: 'hand-over', to: preferred };
}

function change(
  type: ConfChangeType,
  nodes: readonly number[],
  removed: readonly number[],
): MemberStep {
  const changes = [
    ...nodes.map((nodeId) => ({ type, nodeId })),
    ...removed.map((nodeId) => ({ type: ConfChangeType.RemoveNode, nodeId })),
  ];
  const context = new Uint8Array(0);
  return {
    kind: 'change',
    change: { transition: ConfChangeTransition.Auto, changes, context },
  };
}

/** Makes the next step for one group that this node leads. True when its members are as wanted. */
export async function stepMembers(
  group: Group<ApplyResult>,
  self: number,
  wanted: readonly number[],
  preferredLeader: number,
  isAlive: (node: number) => boolean,
  deadlineMs: number,
): Promise<boolean> {
  const progress = group.progress();
  const { lastIndex } = group.status();
  const step = nextMemberStep({
    self,
    confState: group.confState(),
    wanted,
    preferredLeader,
    mayReturn: (node) => group.mayReturn(node),
    hasCaughtUp: (node) => isAlive(node) && hasCaughtUp(progress.get(node), lastIndex),
  });
  if (step.kind === 'change') await group.proposeConfChange(step.change, deadlineMs);
  if (step.kind === 'hand-over') group.transferLeader(step.to);
  if (step.kind === 'renew-term') renewTerm(group, self, isAlive);
  return step.kind === 'done';
}

/** Another voter takes over where there is one that lives: that takes no time. */
function renewTerm(
  group: Group<ApplyResult>,
  self: number,
  isAlive: (node: number) => boolean,
): void {
  const heirs = [...group.progress()]
    .filter(([node, { isLearner }]) => node !== self && !isLearner && isAlive(node))
    .sort(([, a], [, b]) => b.match - a.match);
  const heir = heirs[0]?.[0];
  if (heir === undefined) group.renewTerm();
  else group.transferLeader(heir);
}

export class TableMover {
  private readonly busy = new Set<number>();

  constructor(
    private readonly catalog: Catalog,
    private readonly registry: TableRegistry,
    private readonly self: number,
    private readonly isAlive: (node: number) => boolean,
    private readonly onError: (error: unknown, table: string) => void,
  ) {}

  /** One step for every group that moves and is led here; settles when all were made. */
  async step(): Promise<void> {
    const steps: Promise<void>[] = [];
    for (const id of this.catalog.state.moving) {
      const info = this.catalog.state.tablesById.get(id);
      const running = this.registry.get(id);
      if (!info || !running?.group.isLeader || this.busy.has(id)) continue;
      this.busy.add(id);
      steps.push(this.stepTable(info, running.group).finally(() => this.busy.delete(id)));
    }
    await Promise.all(steps);
  }

  private async stepTable(info: TableInfo, group: Group<ApplyResult>): Promise<void> {
    const deadlineMs = this.catalog.deadline(STEP_TIMEOUT_MS);
    const { replicas, preferredLeader } = info;
    try {
      const { self, isAlive } = this;
      const done = await stepMembers(group, self, replicas, preferredLeader, isAlive, deadlineMs);
      if (done) await this.settle(info, deadlineMs);
    } catch (error) {
      // Whoever leads the group then goes on; a broken invariant is not hidden by that.
      if (!(error instanceof HostError)) this.onError(error, info.name);
    }
  }

  private async settle(info: TableInfo, deadlineMs: number): Promise<void> {
    const row = encodeRow({ ...decodeRow(info.stored), movingFrom: [] });
    await this.catalog.replace(rowKey(info), info.stored, row, deadlineMs);
  }
}
