import { beforeEach, describe, expect, it, vi } from 'vitest';
import { HostNode, Network, TextMachine, stateOf, text } from '../../test/support/hosts.js';
import { ConfChangeType, EntryType, MessageType, type Entry } from '../core/index.js';
import {
  ConfChangeTransition,
  encodeConfChange,
  encodeConfChangeV2,
} from '../core/confchange/types.js';
import { newMessage } from '../core/message.js';
import { LogStoreError } from '../log-store/index.js';
import type { CommittedEntry } from './ports.js';

const FAR = 1e9;
const PEERS = [1, 2, 3];
let network: Network;
beforeEach(() => {
  network = new Network();
});

async function openThree(): Promise<{ nodes: HostNode[]; leader: HostNode }> {
  const nodes: HostNode[] = [];
  for (const id of PEERS) nodes.push(await HostNode.open(network, id));
  for (const node of nodes) node.start(7, PEERS);
  await network.tick(12);
  const leader = nodes.find((node) => node.groups.get(7)?.isLeader);
  if (!leader) throw new Error('nobody leads');
  return { nodes, leader };
}

function groupOf(node: HostNode) {
  const group = node.groups.get(7);
  if (!group) throw new Error('no such group');
  return group;
}

describe('the log', () => {
  it('proposals of 1,000 groups in one turn are one write', async () => {
    const node = await HostNode.open(network, 1);
    const groups = Array.from({ length: 1_000 }, (_, at) => node.start(at + 1, [1]));
    await network.settle();
    const write = vi.spyOn(node.store, 'write');
    const proposals = groups.map((group) => group.propose(text('x'), FAR));
    // Two turns: the first is the proposals', the commit indexes go with a later one.
    await new Promise(setImmediate);
    expect(write).toHaveBeenCalledTimes(1);
    await Promise.all(proposals);
  });

  it('that is too busy for a batch gets it later, and nothing is acknowledged before', async () => {
    const node = await HostNode.open(network, 1);
    const group = node.start(7, [1]);
    await network.settle();
    const busy = new LogStoreError('busy', 'planned');
    let letIn: () => void = () => undefined;
    const caughtUp = new Promise<void>((resolve) => (letIn = resolve));
    const write = vi.spyOn(node.store, 'write');
    write.mockImplementationOnce(() => Promise.reject(busy)).mockReturnValueOnce(caughtUp);
    const first = group.propose(text('a'), FAR);
    await network.settle();
    const second = group.propose(text('b'), FAR);
    await network.settle();
    expect([await stateOf(first), await stateOf(second)]).toEqual(['pending', 'pending']);
    expect(node.store.group(7).lastIndex()).toBe(2);
    node.host.stopGroup(8);
    await expect(node.host.forgetGroup(8)).rejects.toMatchObject({ code: 'busy' });
    letIn();
    await expect(first).resolves.toMatchObject({ result: 'a', index: 3 });
    await expect(second).resolves.toMatchObject({ result: 'b', index: 4 });
    expect(node.fatal).toEqual([]);
  });

  it('that is too busy to be cut is cut another time', async () => {
    const node = await HostNode.open(network, 1);
    const group = node.start(7, [1]);
    await network.settle();
    await group.propose(text('a'), FAR);
    const busy = new LogStoreError('busy', 'planned');
    vi.spyOn(node.store, 'write').mockImplementationOnce(() => Promise.reject(busy));
    const { appliedIndex } = group;
    await node.host.compact(new Map([[7, appliedIndex]]));
    expect(node.store.group(7).firstIndex()).toBe(1);
    await node.host.compact(new Map([[7, appliedIndex]]));
    expect(node.store.group(7).firstIndex()).toBe(appliedIndex + 1);
  });

  it('that fails ends all waiting proposals and reads, and the node is told once', async () => {
    const { leader } = await openThree();
    const group = groupOf(leader);
    network.isolate(leader.id);
    const proposals = ['a', 'b'].map((each) => group.propose(text(each), FAR));
    const reads = [group.readBarrier(FAR), group.readBarrier(FAR)];
    const waiting = Promise.allSettled([...proposals, ...reads]);
    leader.files.onOperation = (kind) => {
      if (kind === 'sync') throw new Error('EIO: planned');
    };
    const outcomes = await waiting;
    expect(outcomes.map((each) => each.status)).toEqual(Array(4).fill('rejected'));
    network.heal();
    await network.tick(3);
    expect(leader.fatal).toHaveLength(1);
    expect(leader.machines.get(7)?.texts).toEqual([]);
    await expect(group.readBarrier(FAR)).rejects.toMatchObject({ code: 'closed' });
  });
});

describe('a broken invariant', () => {
  it('met by a message or a tick stops the node instead of reaching the caller', async () => {
    for (const method of ['deliver', 'tick'] as const) {
      const node = await HostNode.open(network, 1);
      const group = node.start(7, [1]);
      await network.settle();
      vi.spyOn(group, method).mockImplementation(() => {
        throw new Error('planned');
      });
      if (method === 'tick') node.host.tick();
      else node.host.receive(7, newMessage(MessageType.Heartbeat, 1));
      expect(node.fatal).toHaveLength(1);
      await expect(group.propose(text('a'), FAR)).rejects.toMatchObject({ code: 'closed' });
    }
  });
});

describe('a restart', () => {
  const voters = (...ids: number[]) => ({
    voters: ids,
    learners: [],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  });
  const addNode = (index: number, nodeId: number): Entry => ({
    index,
    term: 1,
    type: EntryType.ConfChange,
    data: encodeConfChange({ type: ConfChangeType.AddNode, nodeId, context: new Uint8Array(0) }),
  });

  it('with a state ahead of the commit index and of the configuration makes both good', async () => {
    const node = await HostNode.open(network, 1);
    const batch = node.store.batch();
    batch.appendEntries(7, [addNode(1, 1), addNode(2, 2)]);
    batch.setHardState(7, { term: 1, vote: 0, commit: 0 });
    batch.setConfState(7, 1, voters(1));
    await node.store.write(batch);
    const machine = new TextMachine();
    machine.appliedIndex = 2;
    const group = node.start(7, [1], machine);
    await network.tick(20);
    expect(group.status()).toMatchObject({ commitIndex: 2, appliedIndex: 2 });
    // The second voter is not there: the first must not lead alone.
    expect(group.isLeader).toBe(false);
  });

  it('with a configuration ahead of the state does not make its changes twice', async () => {
    const node = await HostNode.open(network, 1);
    const batch = node.store.batch();
    const joint = { ...voters(1), votersOutgoing: [1, 2] };
    const data = encodeConfChangeV2({
      transition: ConfChangeTransition.JointExplicit,
      changes: [{ type: ConfChangeType.RemoveNode, nodeId: 2 }],
      context: new Uint8Array(0),
    });
    batch.appendEntries(7, [
      addNode(1, 1),
      addNode(2, 2),
      { index: 3, term: 1, type: EntryType.ConfChangeV2, data },
    ]);
    batch.setHardState(7, { term: 1, vote: 0, commit: 3 });
    batch.setConfState(7, 3, joint);
    await node.store.write(batch);
    const group = node.start(7, [1]);
    await network.settle();
    expect(node.fatal).toEqual([]);
    expect(group.status().appliedIndex).toBe(3);
  });
});

describe('a stopped group', () => {
  it('that is forgotten leaves nothing behind in the log', async () => {
    const node = await HostNode.open(network, 1);
    const other = node.start(8, [1]);
    await network.settle();
    node.start(7, PEERS);
    await network.settle();
    node.host.stopGroup(7);
    await node.host.forgetGroup(7);
    await other.propose(text('x'), FAR);
    await network.settle();
    expect(node.store.groups()).toEqual([8]);
  });

  it('by its own state machine says nothing more', async () => {
    const node = await HostNode.open(network, 1);
    const group = node.start(7, [1]);
    await network.settle();
    await group.propose(text('stop'), FAR);
    const again = await HostNode.open(network, 1, {}, node.crash());
    const append = vi.spyOn(again.host, 'append');
    const machine = new (class extends TextMachine {
      override apply(entries: readonly CommittedEntry[]): readonly string[] {
        again.host.stopGroup(7);
        return super.apply(entries);
      }
    })();
    again.start(7, [1], machine);
    await network.settle();
    expect(machine.appliedIndex).toBeGreaterThan(0);
    // Its core would have stood for election after what it applied.
    expect(append).not.toHaveBeenCalled();
    expect(again.fatal).toEqual([]);
  });
});

describe('three hosts', () => {
  it('a follower that needs compacted entries does not stop the leader', async () => {
    const { nodes, leader } = await openThree();
    const group = groupOf(leader);
    const far = nodes.find((node) => node !== leader);
    if (!far) throw new Error('no follower');
    network.isolate(far.id);
    for (let at = 0; at < 5; at++) {
      const proposal = group.propose(text(`t${at}`), FAR);
      await network.settle();
      await proposal;
    }
    await leader.host.compact(new Map([[7, group.status().appliedIndex]]));
    network.heal();
    await network.tick(10);
    const proposal = group.propose(text('more'), FAR);
    await network.settle();
    await expect(proposal).resolves.toMatchObject({ result: 'more' });
    expect(far.machines.get(7)?.texts).toEqual([]);
    expect(nodes.flatMap((node) => node.fatal)).toEqual([]);
  });

  it('a loop that stood still for long ticks once, and nobody stands for election', async () => {
    const { nodes, leader } = await openThree();
    const term = groupOf(leader).status().term;
    network.nowMs += 1e6;
    await network.tick(1);
    expect(nodes.map((node) => groupOf(node).status().term)).toEqual(PEERS.map(() => term));
    expect(groupOf(leader).isLeader).toBe(true);
  });

  it('a read at a leader that was cut off is not answered without a quorum', async () => {
    const { nodes, leader } = await openThree();
    await Promise.all([groupOf(leader).propose(text('old'), FAR), network.settle()]);
    network.isolate(leader.id);
    const stale = groupOf(leader).readBarrier(FAR);
    await network.tick(20);
    const fresh = nodes.find((node) => node !== leader && groupOf(node).isLeader);
    if (!fresh) throw new Error('nobody took over');
    await Promise.all([groupOf(fresh).propose(text('new'), FAR), network.settle()]);
    expect(await stateOf(stale)).toBe('pending');
    network.heal();
    const late = groupOf(leader).readBarrier(FAR);
    await network.tick(20);
    await Promise.all([stale, late]);
    expect(leader.machines.get(7)?.texts).toEqual(['old', 'new']);
  });
});
