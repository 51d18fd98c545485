import { describe, expect, it } from 'vitest';
import { type NodeInfo, type NodeState } from '../catalog/catalog-state.js';
import { CATALOG_VOTERS_MAX, nextCatalogStep } from './catalog-members.js';
import { hasCaughtUp, nextMemberStep } from './table-mover.js';
import { nextNodeId, whyNodeRefused, whyNotRemoved } from './node-checks.js';

const conf = (voters: number[], learners: number[] = [], votersOutgoing: number[] = []) => ({
  voters,
  learners,
  votersOutgoing,
  learnersNext: [],
  autoLeave: votersOutgoing.length > 0,
});

describe('the members of a table', () => {
  it('one that has not answered yet has not caught up, however short the log is', () => {
    const member = (match: number) => ({ match, isLearner: true, isActive: true });
    expect(hasCaughtUp(member(0), 3)).toBe(false);
    expect(hasCaughtUp(undefined, 3)).toBe(false);
    expect(hasCaughtUp(member(1), 3)).toBe(true);
    expect(hasCaughtUp(member(1), 1_000)).toBe(false);
  });

  const step = (
    confState: ReturnType<typeof conf>,
    wanted: number[],
    fields: {
      self?: number;
      caughtUp?: boolean;
      preferredLeader?: number;
      gone?: readonly number[];
      dead?: readonly number[];
    } = {},
  ) => {
    const { self = 1, caughtUp = true, preferredLeader = 1, gone = [], dead = [] } = fields;
    return nextMemberStep({
      self,
      confState,
      wanted,
      preferredLeader,
      hasCaughtUp: (id) => caughtUp && !dead.includes(id),
      mayReturn: (node) => !gone.includes(node),
    });
  };
  const changesOf = (next: ReturnType<typeof step>) =>
    next.kind === 'change' ? next.change.changes.map(({ type, nodeId }) => [type, nodeId]) : next;
  const [ADD, REMOVE, LEARN] = [0, 1, 3];

  it('one is replaced as a learner first, then in one joint change', () => {
    expect(changesOf(step(conf([1, 2, 3]), [1, 2, 4]))).toEqual([[LEARN, 4]]);
    const learning = conf([1, 2, 3], [4]);
    expect(step(learning, [1, 2, 4], { caughtUp: false })).toEqual({ kind: 'wait' });
    expect(changesOf(step(learning, [1, 2, 4]))).toEqual([
      [ADD, 4],
      [REMOVE, 3],
    ]);
    expect(step(conf([1, 2, 4], [], [1, 2, 3]), [1, 2, 4])).toEqual({ kind: 'wait' });
    expect(step(conf([1, 2, 4]), [1, 2, 4])).toEqual({ kind: 'done' });
  });

  it('a leader that has to go adds its successors, hands over, and does not remove itself', () => {
    expect(changesOf(step(conf([1, 2], [3]), [2, 3]))).toEqual([[ADD, 3]]);
    expect(step(conf([1, 2, 3]), [2, 3], { preferredLeader: 3 })).toEqual({
      kind: 'hand-over',
      to: 3,
    });
    expect(step(conf([1, 2, 3]), [2, 3])).toEqual({ kind: 'hand-over', to: 2 });
    expect(changesOf(step(conf([1, 2, 3]), [2, 3], { self: 2 }))).toEqual([[REMOVE, 1]]);
  });

  it('one that left in this term comes back in another, so that nothing old counts for it', () => {
    expect(step(conf([1, 2]), [1, 2, 3], { gone: [3] })).toEqual({ kind: 'renew-term' });
    expect(changesOf(step(conf([1, 2]), [1, 2, 3], { gone: [4] }))).toEqual([[LEARN, 3]]);
  });

  it('a leader that has to go never waits for a dead node to take over', () => {
    const members = conf([1, 2, 3, 4]);
    const wanted = [2, 3, 4];
    expect(step(members, wanted, { preferredLeader: 2, dead: [2] })).toEqual({
      kind: 'hand-over',
      to: 3,
    });
    expect(step(members, wanted, { preferredLeader: 2, dead: wanted })).toEqual({ kind: 'wait' });
  });

  it('a learner that is not wanted any more goes too', () => {
    expect(changesOf(step(conf([1, 2, 3], [4]), [1, 2, 3]))).toEqual([[REMOVE, 4]]);
  });
});

function node(id: number, state: NodeState, fields: Partial<NodeInfo> = {}): NodeInfo {
  return {
    id,
    name: '',
    raftAddress: `host${id}:5012`,
    clientUrl: '',
    identity: `identity-${id}`,
    state,
    replaces: 0,
    stored: Buffer.alloc(0),
    ...fields,
  };
}

const mapOf = (...nodes: NodeInfo[]) => new Map(nodes.map((each) => [each.id, each]));

describe('the members of the catalog', () => {
  const step = (
    nodes: NodeInfo[],
    confState: ReturnType<typeof conf>,
    facts: { isEmpty?: boolean; caughtUp?: boolean; alive?: boolean; self?: number } = {},
  ) =>
    nextCatalogStep({
      self: facts.self ?? 1,
      nodes: mapOf(...nodes),
      confState,
      hasCaughtUp: () => facts.caughtUp ?? true,
      isEmpty: () => facts.isEmpty ?? true,
      isAlive: () => facts.alive ?? true,
    });
  const three = [node(1, 'active'), node(2, 'active'), node(3, 'active')];

  it('a node comes in as a learner, is active once it has caught up, then votes', () => {
    expect(step([...three, node(4, 'joining')], conf([1, 2, 3]))).toEqual({
      kind: 'add-learner',
      node: 4,
    });
    const learning = conf([1, 2, 3], [4]);
    const joining = [...three, node(4, 'joining')];
    expect(step(joining, learning, { caughtUp: false })).toEqual({ kind: 'none' });
    expect(step(joining, learning, { alive: false })).toEqual({ kind: 'none' });
    expect(step([...three, node(4, 'joining', { identity: '' })], learning)).toEqual({
      kind: 'none',
    });
    expect(step(joining, learning)).toEqual({ kind: 'activate', node: 4 });
    expect(step([...three, node(4, 'active')], learning)).toEqual({ kind: 'promote', node: 4 });
  });

  it('there are never more voters than the bound', () => {
    const many = Array.from({ length: CATALOG_VOTERS_MAX + 2 }, (_, at) => node(at + 1, 'active'));
    const voters = many.slice(0, CATALOG_VOTERS_MAX).map(({ id }) => id);
    const learners = many.slice(CATALOG_VOTERS_MAX).map(({ id }) => id);
    expect(step(many, conf(voters, learners))).toEqual({ kind: 'none' });
  });

  it('a node leaves once nothing lies on it, and is taken out then', () => {
    const leaving = [node(1, 'active'), node(2, 'active'), node(3, 'leaving')];
    expect(step(leaving, conf([1, 2, 3]), { isEmpty: false })).toEqual({ kind: 'none' });
    expect(step(leaving, conf([1, 2, 3]))).toEqual({ kind: 'retire', node: 3 });
    const removed = [node(1, 'active'), node(2, 'active'), node(3, 'removed')];
    expect(step(removed, conf([1, 2, 3]))).toEqual({ kind: 'remove', node: 3 });
    expect(step(removed, conf([1, 2]))).toEqual({ kind: 'none' });
  });

  it('the leader that leaves hands over first, and the last voter never goes', () => {
    const leaving = [node(1, 'leaving'), node(2, 'active')];
    expect(step(leaving, conf([1, 2]))).toEqual({ kind: 'hand-over', to: 2 });
    expect(step([node(1, 'leaving')], conf([1]))).toEqual({ kind: 'none' });
    expect(step([node(1, 'leaving'), node(2, 'active')], conf([1], [2]), { self: 2 })).toEqual({
      kind: 'promote',
      node: 2,
    });
  });

  it('a node whose successor is active leaves', () => {
    const nodes = [...three, node(4, 'active', { replaces: 2 })];
    expect(step(nodes, conf([1, 2, 3], [4]))).toEqual({ kind: 'succeed', node: 4, predecessor: 2 });
  });
});

describe('requests to change nodes', () => {
  const nodes = mapOf(node(1, 'active'), node(2, 'active'), node(7, 'removed'));
  const wanted = { id: 0, name: '', raftAddress: 'new:5012', replaces: 0 };

  it('an id is never used twice, and the next one is above all that ever were', () => {
    expect(nextNodeId(nodes)).toBe(8);
    expect(whyNodeRefused({ ...wanted, id: 7 }, nodes)).toContain('id 7 was used by a node');
    expect(whyNodeRefused({ ...wanted, id: 2 }, nodes)).toContain('id 2 is in use');
    expect(whyNodeRefused({ ...wanted, id: 3 }, nodes)).toBeUndefined();
  });

  it.each([
    [{ raftAddress: 'nowhere' }, 'raft_address must be host:port'],
    [{ raftAddress: 'a:0' }, 'raft_address'],
    [{ raftAddress: 'a:65536' }, 'raft_address'],
    [{ raftAddress: 'host1:5012' }, 'is that of node 1'],
    [{ name: 'a\nb' }, 'name'],
    [{ name: 'x'.repeat(256) }, 'name'],
    [{ replaces: 9 }, 'replaces 9: no member'],
    [{ replaces: 7 }, 'replaces 7: was removed'],
    [{ id: 2 ** 60 }, 'id'],
  ])('%j is refused by the field', (fields, reason) => {
    expect(whyNodeRefused({ ...wanted, ...fields }, nodes)).toContain(reason);
  });

  it('an address of a removed node may be used again', () => {
    expect(whyNodeRefused({ ...wanted, raftAddress: 'host7:5012' }, nodes)).toBeUndefined();
    expect(whyNodeRefused({ ...wanted, raftAddress: '[::1]:5012' }, nodes)).toBeUndefined();
  });

  it('who is no member cannot be removed, nor the only active node', () => {
    expect(whyNotRemoved(9, nodes)).toContain('no member');
    expect(whyNotRemoved(7, nodes)).toContain('removed already');
    expect(whyNotRemoved(1, nodes)).toBeUndefined();
    expect(whyNotRemoved(1, mapOf(node(1, 'active')))).toContain('only active');
  });
});
