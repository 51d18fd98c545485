/**
 * Several hosts: groups that sleep, leaders that die, replicas that fall behind, members that change.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { EMPTY_MESSAGE, HostNode, Network, stateOf, text } from '../../test/support/hosts.js';
import { SlottedMachine, type SlottedState } from '../../test/support/slotted-machine.js';
import {
  ConfChangeTransition,
  ConfChangeType,
  MessageType,
  type NodeId,
  type SnapshotMetadata,
} from '../core/index.js';
import { hasteTicks } from './haste.js';
import { type Group, HostError } from './index.js';

const GROUP = 7;
const FAR = 1_000_000;
const OPTIONS = { hibernateTicks: 10, snapshotIdleTicks: 20 };

let network: Network;
let nodes: HostNode[];

beforeEach(() => {
  network = new Network();
  nodes = [];
});

async function cluster(size: number): Promise<void> {
  const ids = Array.from({ length: size }, (_, at) => at + 1);
  for (const id of ids) nodes.push(await HostNode.open(network, id, OPTIONS));
  for (const node of nodes) node.start(GROUP, ids);
  await untilLed();
}

function groupOf(id: NodeId): Group<string> {
  const group = nodes.find((node) => node.id === id)?.groups.get(GROUP);
  if (!group) throw new Error(`node ${id} has no such group`);
  return group;
}

function leader(): HostNode {
  const found = nodes.find((node) => network.nodes.has(node.id) && groupOf(node.id).isLeader);
  if (!found) throw new Error('nobody leads');
  return found;
}

async function untilLed(): Promise<void> {
  for (let count = 0; count < 40; count++) {
    await network.tick(1);
    if (nodes.some(({ id }) => network.nodes.has(id) && groupOf(id).isLeader)) return;
  }
  throw new Error('nobody was elected');
}

async function write(content: string): Promise<void> {
  const written = groupOf(leader().id).propose(text(content), FAR);
  await network.settle();
  await written;
}

function followers(): HostNode[] {
  return nodes.filter(({ id }) => network.nodes.has(id) && !groupOf(id).isLeader);
}

describe('a group that nobody uses', () => {
  beforeEach(async () => {
    await cluster(3);
    await write('a');
    await network.tick(30);
  });

  it('sleeps on every node, and then nothing is sent and nothing ticks', async () => {
    expect(nodes.map(({ id }) => groupOf(id).isAsleep)).toEqual([true, true, true]);
    const before = network.sent;
    await network.tick(200);
    expect(network.sent).toBe(before);
    expect(nodes.map(({ host }) => host.stats().awake)).toEqual([0, 0, 0]);
  });

  it('wakes for a write, which all apply, and sleeps again under the same leader', async () => {
    const { id } = leader();
    await write('b');
    for (const node of nodes) expect(node.machines.get(GROUP)?.texts).toEqual(['a', 'b']);
    await network.tick(30);
    expect(nodes.map((node) => groupOf(node.id).isAsleep)).toEqual([true, true, true]);
    expect(leader().id).toBe(id);
  });

  it('wakes for a linearizable read on a follower', async () => {
    const [follower] = followers();
    const read = groupOf(follower?.id ?? 0).readBarrier(network.nowMs + 1_000);
    await network.tick(2);
    expect(await stateOf(read)).toBe('done');
  });

  it('whose leader is cut off answers no read from what it has', async () => {
    const old = leader();
    network.isolate(old.id);
    for (const node of followers()) node.host.nodeLost(old.id);
    for (let count = 0; count < 20; count++) await network.tick(1);
    const fresh = nodes.find(({ id }) => id !== old.id && groupOf(id).isLeader);
    const written = groupOf(fresh?.id ?? 0).propose(text('newer'), FAR);
    await network.tick(2);
    await written;
    const read = groupOf(old.id).readBarrier(network.nowMs + 500);
    const refused = expect(read).rejects.toBeInstanceOf(HostError);
    await network.tick(20);
    await refused;
  });

  it('sleeps without a node that is gone, and brings it up to date when it is back', async () => {
    const [away] = followers();
    if (!away) throw new Error('there is no follower');
    network.isolate(away.id);
    for (const node of nodes) if (node !== away) node.host.nodeLost(away.id);
    await write('while it is away');
    await network.tick(40);
    expect(groupOf(leader().id).isAsleep).toBe(true);
    network.heal();
    for (const node of nodes) if (node !== away) node.host.nodeFound(away.id);
    await network.tick(10);
    expect(away.machines.get(GROUP)?.texts).toEqual(['a', 'while it is away']);
  });
});

describe('a leader that dies', () => {
  it.each([
    ['at work', 0],
    ['asleep', 40],
  ])(
    '%s is followed by another within a few ticks once its node is known to be gone',
    async (_, ticks) => {
      await cluster(3);
      await write('a');
      await network.tick(ticks);
      const dead = leader();
      dead.crash();
      for (const node of followers()) node.host.nodeLost(dead.id);
      await network.tick(6);
      expect(leader().id).not.toBe(dead.id);
      await write('b');
      for (const { id, machines } of nodes.filter(({ id }) => id !== dead.id)) {
        expect(machines.get(GROUP)?.texts, `node ${id}`).toEqual(['a', 'b']);
      }
    },
  );

  it('only as it seems to one node stays the leader, and loses nothing', async () => {
    await cluster(3);
    await write('a');
    const { id } = leader();
    const term = groupOf(id).status().term;
    followers()[0]?.host.nodeLost(id);
    for (let count = 0; count < 10; count++) {
      await write(`w${count}`);
      await network.tick(1);
    }
    expect(leader().id).toBe(id);
    expect(groupOf(id).status().term).toBe(term);
  });

  it('has successors that do not all try in the same tick', () => {
    const voters = [2, 3, 5];
    for (const group of [1, 2, 3]) {
      const ticks = voters.map((id) => hasteTicks(group, id, voters));
      expect(new Set(ticks).size).toBe(voters.length);
      expect(Math.min(...ticks)).toBe(1);
    }
  });
});

describe('a replica that fell behind', () => {
  const machines = new Map<NodeId, SlottedMachine>();
  let wanted: { node: NodeId; from: NodeId; metadata: SnapshotMetadata }[];

  beforeEach(async () => {
    machines.clear();
    wanted = [];
    network.onWanted = (node, _group, from, metadata) => wanted.push({ node, from, metadata });
    for (const id of [1, 2, 3]) nodes.push(await HostNode.open(network, id, OPTIONS));
    for (const node of nodes) startOn(node);
    await untilLed();
    await write('a');
  });

  function startOn(node: HostNode, state?: SlottedState): void {
    const machine = new SlottedMachine(state);
    machines.set(node.id, machine);
    node.startWith(GROUP, [1, 2, 3], machine);
  }

  function machineOf(id: NodeId): SlottedMachine {
    const machine = machines.get(id);
    if (!machine) throw new Error(`node ${id} has no machine`);
    return machine;
  }

  /** Cuts a follower off, writes, and cuts the log behind it. Returns the follower. */
  async function leaveBehind(): Promise<HostNode> {
    const [away] = followers();
    if (!away) throw new Error('there is no follower');
    network.isolate(away.id);
    for (const content of ['b', 'c', 'd']) await write(content);
    const { host, id } = leader();
    await host.compact(new Map([[GROUP, machineOf(id).appliedIndex]]));
    network.heal();
    await network.tick(3);
    return away;
  }

  /** What a fetcher does: the leader's state, staged, then taken over. */
  function fetchFor(node: HostNode): boolean {
    const group = groupOf(leader().id);
    const metadata = group.snapshotMetadata();
    machineOf(node.id).stage(metadata, machineOf(leader().id).texts);
    return node.host.installSnapshot(GROUP, metadata);
  }

  it('is told of a snapshot, serves its old state until it is there, and goes on from it', async () => {
    const away = await leaveBehind();
    expect(wanted[0]).toMatchObject({ node: away.id, from: leader().id });
    expect(machineOf(away.id).texts).toEqual(['a']);
    expect(fetchFor(away)).toBe(true);
    await network.tick(2);
    expect(machineOf(away.id).texts).toEqual(['a', 'b', 'c', 'd']);
    await write('e');
    await network.tick(2);
    expect(machineOf(away.id).texts).toEqual(['a', 'b', 'c', 'd', 'e']);
    const { applied } = machineOf(away.id);
    expect(new Set(applied).size).toBe(applied.length);
  });

  it('is told again when nothing comes of it', async () => {
    await leaveBehind();
    const before = wanted.length;
    await network.tick(60);
    expect(wanted.length).toBeGreaterThan(before);
  });

  it('that got there by itself tells a leader that still believes in a snapshot', async () => {
    const away = await leaveBehind();
    expect(fetchFor(away)).toBe(true);
    // The answer that says so is lost.
    network.cut.add(`${away.id}>${leader().id}`);
    await network.settle();
    network.heal();
    wanted = [];
    await network.tick(OPTIONS.snapshotIdleTicks + 20);
    expect(wanted).toEqual([]);
    expect(groupOf(leader().id).progress().get(away.id)?.match).toBe(
      groupOf(leader().id).status().lastIndex,
    );
    expect(groupOf(leader().id).isAsleep).toBe(true);
  });

  it('takes none that is not wanted: it has caught up, or nobody leads', async () => {
    const away = await leaveBehind();
    const metadata = groupOf(leader().id).snapshotMetadata();
    machineOf(away.id).stage(metadata, machineOf(leader().id).texts);
    expect(leader().host.installSnapshot(GROUP, metadata)).toBe(false);
    expect(away.host.installSnapshot(GROUP, metadata)).toBe(true);
    await network.tick(2);
    expect(away.host.installSnapshot(GROUP, metadata)).toBe(false);
    expect(away.host.installSnapshot(99, metadata)).toBe(false);
    expect(away.fatal).toEqual([]);
  });

  it('survives a crash at any point of taking it over, whatever of log and state was kept', async () => {
    for (const keepLog of [true, false]) {
      for (let kept = 0; ; kept++) {
        nodes = [];
        network = new Network();
        network.onWanted = (node, _group, from, metadata) => wanted.push({ node, from, metadata });
        for (const id of [1, 2, 3]) nodes.push(await HostNode.open(network, id, OPTIONS));
        for (const node of nodes) startOn(node);
        await untilLed();
        await write('a');
        const away = await leaveBehind();
        let release: () => void = () => undefined;
        const gate = new Promise<void>((resolve) => (release = resolve));
        if (!keepLog) away.files.syncGate = () => gate;
        expect(fetchFor(away)).toBe(true);
        await network.settle();
        const states = machineOf(away.id).unsynced;
        const state = states[kept];
        const files = away.crash();
        release();
        if (!state) {
          expect(kept).toBeGreaterThan(0);
          break;
        }
        const again = await HostNode.open(network, away.id, OPTIONS, files);
        nodes = nodes.map((node) => (node.id === away.id ? again : node));
        startOn(again, state);
        expect(groupOf(again.id).status().term).toBeGreaterThan(0);
        for (let count = 0; count < 40 && machineOf(again.id).texts.length < 4; count++) {
          await network.tick(1);
          const want = wanted.pop();
          if (want?.node === again.id && machineOf(again.id).texts.length < 4) fetchFor(again);
        }
        const label = `log kept: ${keepLog}, state ${kept}`;
        expect(machineOf(again.id).texts, label).toEqual(['a', 'b', 'c', 'd']);
        await write('e');
        // The leader may still be waiting for the snapshot of before, and announce another one.
        for (let count = 0; count < 60 && machineOf(again.id).texts.length < 5; count++) {
          await network.tick(1);
          if (wanted.pop()?.node === again.id) fetchFor(again);
        }
        expect(machineOf(again.id).texts, label).toEqual(['a', 'b', 'c', 'd', 'e']);
        expect(again.fatal).toEqual([]);
      }
    }
  });
});

describe('members of a group', () => {
  const change = (type: ConfChangeType, nodeId: NodeId) => ({
    type,
    nodeId,
    context: new Uint8Array(0),
  });

  async function changed(id: NodeId, ...args: Parameters<Group<string>['proposeConfChange']>) {
    const proposed = groupOf(id).proposeConfChange(...args);
    await network.tick(2);
    await proposed;
  }

  it('come as learners with nothing, catch up, vote, and go, in one joint change', async () => {
    await cluster(3);
    await write('a');
    const fourth = await HostNode.open(network, 4, OPTIONS);
    nodes.push(fourth);
    const group = fourth.start(GROUP, []);
    expect(group.isVoter).toBe(false);
    await changed(leader().id, change(ConfChangeType.AddLearnerNode, 4), FAR);
    await network.tick(5);
    expect(fourth.machines.get(GROUP)?.texts).toEqual(['a']);
    expect(group.isVoter).toBe(false);
    const gone = followers().find(({ id }) => id !== 4)?.id ?? 0;
    const changes = [
      { type: ConfChangeType.AddNode, nodeId: 4 },
      { type: ConfChangeType.RemoveNode, nodeId: gone },
    ];
    const context = new Uint8Array(0);
    const joint = { transition: ConfChangeTransition.Auto, changes, context };
    await changed(leader().id, joint, FAR);
    await network.tick(5);
    const { voters, votersOutgoing } = groupOf(leader().id).confState();
    expect(votersOutgoing).toEqual([]);
    expect(voters).toContain(4);
    expect(voters).not.toContain(gone);
    expect(group.isVoter).toBe(true);
  });

  it('a change that does not fit leaves the configuration as it was', async () => {
    await cluster(3);
    const { id } = leader();
    const both = [4, 5].map((node) =>
      groupOf(id).proposeConfChange(change(ConfChangeType.AddLearnerNode, node), FAR),
    );
    await network.tick(3);
    await Promise.all(both);
    expect(groupOf(id).confState().learners).toEqual([4]);
  });

  it('a leader that hands over takes no proposals meanwhile, and says that nothing was done', async () => {
    await cluster(3);
    const { id } = leader();
    const heir = followers()[0]?.id ?? 0;
    groupOf(id).transferLeader(heir);
    await expect(groupOf(id).propose(text('x'), FAR)).rejects.toMatchObject({ code: 'not-ready' });
    await network.tick(3);
    expect(leader().id).toBe(heir);
  });

  it('a replica that moved away keeps its vote, over a crash too, and does not found the group anew', async () => {
    await cluster(3);
    const [moved] = followers();
    if (!moved) throw new Error('there is no follower');
    const { term } = groupOf(moved.id).status();
    moved.host.stopGroup(GROUP);
    await moved.host.forgetGroup(GROUP, { keepVote: true });
    const files = moved.crash();
    const again = await HostNode.open(network, moved.id, OPTIONS, files);
    nodes = nodes.map((node) => (node.id === moved.id ? again : node));
    const group = again.start(GROUP, [1, 2, 3]);
    expect(group.status().term).toBe(term);
    expect(group.confState().voters).toEqual([]);
    const answers: unknown[] = [];
    const send = network.send.bind(network);
    network.send = (id, message) => {
      if (message.from === moved.id && message.type === MessageType.VoteResp) answers.push(message);
      send(id, message);
    };
    const stranger = nodes.find(({ id }) => id !== moved.id && !groupOf(id).isLeader)?.id ?? 0;
    const vote = { type: MessageType.Vote, to: moved.id, from: stranger, term };
    again.host.receive(GROUP, { ...EMPTY_MESSAGE, ...vote, index: 99, logTerm: 99 });
    await network.settle();
    expect(answers).toMatchObject([{ reject: true }]);
  });

  it('a state that is older than the known configuration is no snapshot with it', async () => {
    const alone = await HostNode.open(network, 1, OPTIONS);
    nodes.push(alone);
    alone.start(GROUP, [1]);
    await untilLed();
    await write('a');
    await changed(1, change(ConfChangeType.AddLearnerNode, 2), FAR);
    await write('b');
    const { appliedIndex } = groupOf(1);
    alone.host.close();
    await alone.store.close();
    // Of the log all is there, of the state what it was before the change.
    const files = alone.files.crash((below) => below - 1);
    const again = await HostNode.open(network, 1, OPTIONS, files);
    nodes = [again];
    const before = { appliedIndex: 3, texts: ['a'], installed: undefined, staged: undefined };
    const group = again.startWith(GROUP, [1], new SlottedMachine(before));
    expect(group.confState().learners).toEqual([2]);
    expect(() => group.snapshotMetadata()).toThrow('too few for a snapshot');
    await network.tick(3);
    expect(group.snapshotMetadata().index).toBeGreaterThanOrEqual(appliedIndex);
    expect(group.snapshotMetadata().confState.learners).toEqual([2]);
  });

  it('a configuration that a crash took from the log is stored before its entries are cut', async () => {
    let node = await HostNode.open(network, 1, OPTIONS);
    nodes.push(node);
    node.start(GROUP, [1]);
    await untilLed();
    await write('a');
    await changed(1, change(ConfChangeType.AddLearnerNode, 2), FAR);
    const { appliedIndex } = groupOf(1);
    for (let life = 1; life <= 2; life++) {
      // Nothing was synced after the entry itself.
      node = await HostNode.open(network, 1, OPTIONS, node.crash());
      nodes = [node];
      const state = { appliedIndex, texts: ['a'], installed: undefined, staged: undefined };
      const group = node.startWith(GROUP, [1], new SlottedMachine(state));
      expect(group.confState().learners).toEqual([2]);
      expect(node.store.group(GROUP).confStateIndex() < appliedIndex).toBe(life === 1);
      await network.settle();
      await node.host.compact(new Map([[GROUP, appliedIndex]]));
    }
  });

  describe('that moved away, and came back with nothing', () => {
    let stale: HostNode;
    let moved: HostNode;

    /** `stale` hears nothing while `moved` is replaced by a fourth node and more is committed. */
    beforeEach(async () => {
      await cluster(3);
      const [first, second] = followers();
      if (!first || !second) throw new Error('there are no followers');
      [stale, moved] = [first, second];
      await write('a');
      network.isolate(stale.id);
      const fourth = await HostNode.open(network, 4, OPTIONS);
      nodes.push(fourth);
      fourth.start(GROUP, []);
      await changed(leader().id, change(ConfChangeType.AddLearnerNode, 4), FAR);
      await network.tick(3);
      const changes = [
        { type: ConfChangeType.AddNode, nodeId: 4 },
        { type: ConfChangeType.RemoveNode, nodeId: moved.id },
      ];
      const transition = ConfChangeTransition.Auto;
      await changed(leader().id, { transition, changes, context: new Uint8Array(0) }, FAR);
      await write('b');
      moved.host.stopGroup(GROUP);
      await moved.host.forgetGroup(GROUP, { keepVote: true });
      network.isolate(moved.id);
    });

    it('does not make somebody leader who lacks what it once acknowledged', async () => {
      moved.start(GROUP, []);
      // The two see each other, and nobody else.
      network.cut.delete(`${stale.id}>${moved.id}`);
      network.cut.delete(`${moved.id}>${stale.id}`);
      for (let count = 0; count < 60; count++) {
        await network.tick(1);
        expect(groupOf(stale.id).isLeader).toBe(false);
      }
      network.heal();
      await network.tick(20);
      expect(nodes.flatMap(({ fatal }) => fatal)).toEqual([]);
      expect(stale.machines.get(GROUP)?.texts).toEqual(['a', 'b']);
    });

    it('does not stand itself before it has all of that again, after a crash either', async () => {
      const again = await HostNode.open(network, moved.id, OPTIONS, moved.crash());
      nodes = nodes.map((node) => (node.id === moved.id ? again : node));
      const group = again.start(GROUP, []);
      const { term } = groupOf(leader().id).status();
      // Of its old log it gets the beginning, which says that it votes.
      const entries = leader().store.group(GROUP).entries(1, 4, FAR);
      const append = { type: MessageType.App, to: moved.id, from: leader().id, term, entries };
      again.host.receive(GROUP, { ...EMPTY_MESSAGE, ...append, commit: 3 });
      await network.settle();
      expect(group.isVoter).toBe(true);
      network.cut.clear();
      network.isolate(moved.id);
      const asked: unknown[] = [];
      network.send = (_group, message) => {
        if (message.from === moved.id) asked.push(message.type);
      };
      await network.tick(60);
      expect(asked).not.toContain(MessageType.PreVote);
      expect(asked).not.toContain(MessageType.Vote);
    });
  });
});

describe('waiting for a group', () => {
  it('that sleeps ends with the deadline too: nothing else may ever wake it', async () => {
    await cluster(3);
    await network.tick(30);
    const [follower] = followers();
    if (!follower) throw new Error('there is no follower');
    const group = groupOf(follower.id);
    expect(group.isAsleep).toBe(true);
    network.isolate(follower.id);
    const waits = group.applied(1_000, network.nowMs + 100);
    const outcome = Promise.allSettled([waits]);
    await network.tick(4);
    expect(await stateOf(waits)).toBe('failed');
    expect(await outcome).toMatchObject([{ reason: { code: 'timeout' } }]);
  });

  it('a leader is waited for until the deadline, and so is an index', async () => {
    const alone = await HostNode.open(network, 1, OPTIONS);
    nodes.push(alone);
    const group = alone.start(GROUP, [1, 2, 3]);
    const waits = [group.leaderKnown(100), group.applied(50, 100)];
    const outcomes = Promise.allSettled(waits);
    await network.tick(3);
    expect(await outcomes).toMatchObject([
      { status: 'rejected', reason: { code: 'not-ready' } },
      { status: 'rejected', reason: { code: 'timeout' } },
    ]);
    const late = [group.leaderKnown(FAR), group.applied(50, FAR)];
    const ended = Promise.allSettled(late);
    alone.host.close();
    expect(await ended).toMatchObject([
      { reason: { code: 'closed' } },
      { reason: { code: 'closed' } },
    ]);
  });
});
