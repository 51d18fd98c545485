/**
 * Classes of bugs that have hit etcd, each by name, where the host could have them too (docs/testing.md
 * lists all of them, with the tests of the other layers).
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { HostNode, Network, TextMachine, stateOf, text } from '../../test/support/hosts.js';
import { SlottedMachine } from '../../test/support/slotted-machine.js';
import { ConfChangeType, MessageType, type Message, type NodeId } from '../core/index.js';
import { type SimulatedFiles } from '../log-store/testing/simulated-files.js';
import { type Group, type HostOptions } from './index.js';

const GROUP = 7;
const FAR = 1e9;
const TRIES_MAX = 60;

let network: Network;
beforeEach(() => {
  network = new Network();
});

function groupOf(node: HostNode): Group<string> {
  const group = node.groups.get(GROUP);
  if (!group) throw new Error(`node ${node.id} has no such group`);
  return group;
}

function textsOf(node: HostNode): readonly string[] | undefined {
  return node.machines.get(GROUP)?.texts;
}

async function written(node: HostNode, content: string): Promise<void> {
  const proposal = groupOf(node).propose(text(content), FAR);
  await network.settle();
  await proposal;
}

/** Ticks some nodes only: the others stand still, as a process that was paused does. */
async function tickOnly(nodes: readonly HostNode[], count: number): Promise<void> {
  for (let at = 0; at < count; at++) {
    network.nowMs += 50;
    for (const { host } of nodes) host.tick();
    await network.settle();
  }
}

async function leaderOf(nodes: readonly HostNode[]): Promise<HostNode> {
  for (let count = 0; count < TRIES_MAX; count++) {
    const found = nodes.find((node) => groupOf(node).isLeader);
    if (found) return found;
    await tickOnly(nodes, 1);
  }
  throw new Error('nobody was elected');
}

async function openThree(
  options: Partial<HostOptions> = {},
): Promise<{ leader: HostNode; others: readonly HostNode[] }> {
  const nodes: HostNode[] = [];
  for (const id of [1, 2, 3]) nodes.push(await HostNode.open(network, id, options));
  for (const node of nodes) node.start(GROUP, [1, 2, 3]);
  const leader = await leaderOf(nodes);
  await written(leader, 'old');
  await network.tick(1);
  return { leader, others: nodes.filter((node) => node !== leader) };
}

describe('single node acknowledges before fsync (etcd #14370)', () => {
  /** A voter whose syncs are held, each until `release` was called for it. */
  async function openHeld(): Promise<{ node: HostNode; release: () => void }> {
    const node = await HostNode.open(network, 1);
    node.start(GROUP, [1]);
    await network.settle();
    const gates: (() => void)[] = [];
    node.files.syncGate = () => new Promise((resolve) => gates.push(resolve));
    return { node, release: () => gates.splice(0).forEach((open) => open()) };
  }

  async function foundAfter(files: SimulatedFiles): Promise<readonly string[] | undefined> {
    const again = await HostNode.open(network, 1, {}, files);
    await again.start(GROUP, [1], new TextMachine()).readBarrier(FAR);
    return textsOf(again);
  }

  it('nothing is acknowledged, applied or read before it is on disk, and then all of it is', async () => {
    const { node, release } = await openHeld();
    const group = groupOf(node);
    const write = group.propose(text('a'), FAR);
    await network.tick(3);
    const read = group.readBarrier(FAR);
    await network.tick(3);
    expect(await stateOf(write)).toBe('pending');
    expect(textsOf(node)).toEqual([]);
    // A read may be answered meanwhile, from what is on disk.
    await read;
    expect(textsOf(node)).toEqual([]);
    for (let count = 0; count < 5; count++) {
      release();
      await network.settle();
    }
    expect(await stateOf(write)).toBe('done');
    expect(textsOf(node)).toEqual(['a']);
  });

  it('whenever the power goes, what was acknowledged is there', async () => {
    for (let releases = 0; releases < 8; releases++) {
      network = new Network();
      const { node, release } = await openHeld();
      const acknowledged: string[] = [];
      for (let at = 0; at < 8; at++) {
        const content = `t${at}`;
        groupOf(node)
          .propose(text(content), FAR)
          .then(
            () => acknowledged.push(content),
            () => undefined,
          );
        await network.settle();
        if (at < releases) release();
        await network.settle();
      }
      const files = node.crash();
      const found = await foundAfter(files);
      expect(found?.slice(0, acknowledged.length), `${releases} syncs`).toEqual(acknowledged);
      expect(acknowledged.length > 0).toBe(releases > 0);
    }
  });

  it('a learner that has it on disk does not stand in for the only voter', async () => {
    const { node, release } = await openHeld();
    const learner = await HostNode.open(network, 2);
    learner.start(GROUP, []);
    const context = new Uint8Array(0);
    const type = ConfChangeType.AddLearnerNode;
    const added = groupOf(node).proposeConfChange({ type, nodeId: 2, context }, FAR);
    for (let count = 0; count < 5; count++) {
      release();
      await network.tick(1);
    }
    await added;
    const write = groupOf(node).propose(text('a'), FAR);
    await network.tick(5);
    expect(groupOf(learner).status().lastIndex).toBe(groupOf(node).status().lastIndex);
    expect(await stateOf(write)).toBe('pending');
    expect(textsOf(learner)).toEqual([]);
    release();
    await network.settle();
    expect(await stateOf(write)).toBe('done');
  });
});

describe('stale reads after a process pause, ReadIndex retries (etcd #20418)', () => {
  /** Keeps messages from whom they are for; the returned function lets them arrive after all. */
  function hold(which: (message: Message) => boolean): () => number {
    const held: Message[] = [];
    const send = network.send.bind(network);
    network.send = (group, message) => {
      if (which(message)) held.push(message);
      else send(group, message);
    };
    return () => {
      network.send = send;
      for (const message of held) network.nodes.get(message.to)?.host.receive(GROUP, message);
      return held.length;
    };
  }

  const carriesRead = ({ context }: Message): boolean => (context?.length ?? 0) > 0;

  /** The others elect a leader and write, while `away` is cut off and does not tick. */
  async function goOnWithout(away: HostNode, others: readonly HostNode[]): Promise<void> {
    network.isolate(away.id);
    for (const { host } of others) host.nodeLost(away.id);
    await tickOnly(others, 12);
    const fresh = await leaderOf(others);
    const proposal = groupOf(fresh).propose(text('new'), FAR);
    await tickOnly(others, 3);
    await proposal;
  }

  async function expectFreshInTheEnd(node: HostNode, read: Promise<void>): Promise<void> {
    expect(await stateOf(read)).toBe('pending');
    expect(textsOf(node)).toEqual(['old']);
    network.heal();
    for (const each of network.nodes.values()) each.host.nodeFound(node.id);
    await network.tick(40);
    await read;
    expect(textsOf(node)).toEqual(['old', 'new']);
  }

  it('a leader that was paused answers no read by answers to a round from before the pause', async () => {
    const { leader, others } = await openThree();
    const release = hold(
      (message) => message.type === MessageType.HeartbeatResp && carriesRead(message),
    );
    const early = groupOf(leader).readBarrier(network.nowMs + 500);
    const ended = Promise.allSettled([early]);
    await network.settle();
    await goOnWithout(leader, others);
    // It goes on: the early read is over, another one comes, and then what was on its way.
    await tickOnly([leader], 1);
    expect(await ended).toMatchObject([{ reason: { code: 'timeout' } }]);
    const late = groupOf(leader).readBarrier(FAR);
    await network.settle();
    expect(release()).toBeGreaterThan(0);
    await network.settle();
    await expectFreshInTheEnd(leader, late);
  });

  it('nor does it by answers to a round that it has asked again, whichever they are for', async () => {
    const { leader, others } = await openThree({ readRetryTicks: 2 });
    const isAnswer = (message: Message): boolean =>
      message.type === MessageType.HeartbeatResp && carriesRead(message);
    const contexts = new Set<string>();
    const release = hold((message) => {
      if (!isAnswer(message)) return false;
      contexts.add(String(message.context));
      return true;
    });
    const early = groupOf(leader).readBarrier(network.nowMs + 1_000);
    const ended = Promise.allSettled([early]);
    await tickOnly([leader], 4);
    // It was asked more than once, and each time anew.
    expect(contexts.size).toBeGreaterThan(1);
    await goOnWithout(leader, others);
    network.nowMs += 1_000;
    await tickOnly([leader], 1);
    expect(await ended).toMatchObject([{ reason: { code: 'timeout' } }]);
    const late = groupOf(leader).readBarrier(FAR);
    await network.settle();
    expect(release()).toBeGreaterThan(1);
    await network.settle();
    await expectFreshInTheEnd(leader, late);
  });

  it('a follower that was paused answers no read by the answer to one from before the pause', async () => {
    const { others } = await openThree();
    const [follower] = others;
    if (!follower) throw new Error('nobody follows');
    const rest = [...network.nodes.values()].filter((node) => node !== follower);
    const release = hold(
      ({ type, to }) => type === MessageType.ReadIndexResp && to === follower.id,
    );
    const early = groupOf(follower).readBarrier(network.nowMs + 500);
    const ended = Promise.allSettled([early]);
    await network.settle();
    await goOnWithout(follower, rest);
    await tickOnly([follower], 1);
    expect(await ended).toMatchObject([{ reason: { code: 'timeout' } }]);
    const late = groupOf(follower).readBarrier(FAR);
    await network.settle();
    expect(release()).toBeGreaterThan(0);
    await network.settle();
    await expectFreshInTheEnd(follower, late);
  });

  it('an answer to a read of its former life confirms none of a node that was started again', async () => {
    const { others } = await openThree();
    const [follower] = others;
    if (!follower) throw new Error('nobody follows');
    const rest = [...network.nodes.values()].filter((node) => node !== follower);
    const early = groupOf(follower).readBarrier(FAR);
    early.catch(() => undefined);
    const release = hold(
      ({ type, to }) => type === MessageType.ReadIndexResp && to === follower.id,
    );
    await network.settle();
    const files = follower.crash();
    const again = await HostNode.open(network, follower.id, {}, files, 4_711);
    again.start(GROUP, [1, 2, 3]);
    // It hears of the leader of before, and then of nobody.
    await network.tick(3);
    expect(textsOf(again)).toEqual(['old']);
    await goOnWithout(again, rest);
    const late = groupOf(again).readBarrier(FAR);
    await network.settle();
    expect(release()).toBeGreaterThan(0);
    await network.settle();
    await expectFreshInTheEnd(again, late);
  });
});

// There are no users and roles yet: this is what a snapshot carries besides the rows of a table.
describe('auth and snapshot inconsistency (etcd #14571)', () => {
  interface Replica {
    readonly node: HostNode;
    readonly machine: SlottedMachine;
  }

  async function openWith(id: NodeId, founders: readonly NodeId[]): Promise<Replica> {
    const node = await HostNode.open(network, id);
    const machine = new SlottedMachine();
    node.startWith(GROUP, founders, machine);
    return { node, machine };
  }

  it('members, index, term and state are the same by snapshot as by the log, over a restart too', async () => {
    let replicas: Replica[] = [];
    for (const id of [1, 2, 3]) replicas.push(await openWith(id, [1, 2, 3]));
    const nodes = () => replicas.map(({ node }) => node);
    const leader = await leaderOf(nodes());
    const source = replicas.find(({ node }) => node === leader);
    const away = replicas.find(({ node }) => node !== leader);
    if (!source || !away) throw new Error('nobody follows');
    network.onWanted = (node, _group, _from) => {
      if (node !== away.node.id) return;
      const metadata = groupOf(leader).snapshotMetadata();
      replicas
        .find(({ node: { id } }) => id === node)
        ?.machine.stage(metadata, source.machine.texts);
      network.nodes.get(node)?.host.installSnapshot(GROUP, metadata);
    };
    await written(leader, 'a');
    network.isolate(away.node.id);
    const fourth = await openWith(4, []);
    replicas.push(fourth);
    const context = new Uint8Array(0);
    for (const type of [ConfChangeType.AddLearnerNode, ConfChangeType.AddNode]) {
      const changed = groupOf(leader).proposeConfChange({ type, nodeId: 4, context }, FAR);
      await network.tick(3);
      await changed;
    }
    await written(leader, 'b');
    await leader.host.compact(new Map([[GROUP, source.machine.appliedIndex]]));
    network.heal();
    await network.tick(25);
    expect(away.machine.texts).toEqual(['a', 'b']);
    expect(away.machine.state.installed).toBeDefined();
    const byLog = replicas.find(
      ({ node }) => node !== leader && node.id !== 4 && node !== away.node,
    );
    if (!byLog) throw new Error('nobody got it all by the log');
    const saidBy = ({ node, machine }: Replica) => ({
      snapshot: groupOf(node).snapshotMetadata(),
      conf: groupOf(node).confState(),
      isVoter: groupOf(node).isVoter,
      texts: machine.texts,
    });
    expect(byLog.machine.state.installed).toBeUndefined();
    expect(saidBy(away)).toEqual(saidBy(byLog));
    expect(saidBy(away).conf.voters).toEqual([1, 2, 3, 4]);
    // The next process finds the same: nothing of it was in memory alone.
    const { id } = away.node;
    const state = away.machine.state;
    const node = await HostNode.open(network, id, {}, away.node.crash());
    const machine = new SlottedMachine(state);
    node.startWith(GROUP, [1, 2, 3], machine);
    const again = { node, machine };
    replicas = replicas.map((each) => (each === away ? again : each));
    expect(saidBy(again)).toEqual(saidBy(byLog));
    await written(leader, 'c');
    await network.tick(5);
    expect(saidBy(again)).toEqual(saidBy(byLog));
    expect(again.machine.texts).toEqual(['a', 'b', 'c']);
  });
});
