/**
 * A replica that left a group and comes back with nothing, while messages of its former life are
 * still on their way: what was said of a log that is gone must not count for the new one.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { EMPTY_MESSAGE, HostNode, Network, stateOf, text } from '../../test/support/hosts.js';
import { ConfChangeType, MessageType, type Message, type NodeId } from '../core/index.js';
import { type Group } from './index.js';

const GROUP = 7;
const FAR = 1e9;
const TRIES_MAX = 60;

let network: Network;
let nodes: Map<NodeId, HostNode>;

beforeEach(async () => {
  network = new Network();
  nodes = new Map();
  for (const id of [1, 2, 3]) nodes.set(id, await HostNode.open(network, id));
  for (const node of nodes.values()) node.start(GROUP, [1, 2, 3]);
  await network.tick(12);
  await write('a');
});

function groupOf(id: NodeId): Group<string> {
  const group = nodes.get(id)?.groups.get(GROUP);
  if (!group) throw new Error(`node ${id} has no such group`);
  return group;
}

function leader(): Group<string> {
  const found = [...nodes.keys()].map(groupOf).find((group) => group.isLeader);
  if (!found) throw new Error('nobody leads');
  return found;
}

async function write(content: string): Promise<void> {
  const written = leader().propose(text(content), FAR);
  await network.settle();
  await written;
}

function follower(): HostNode {
  const found = [...nodes.values()].find(({ id }) => !groupOf(id).isLeader);
  if (!found) throw new Error('nobody follows');
  return found;
}

/** Settles with how the change ended. */
async function change(
  type: ConfChangeType,
  nodeId: NodeId,
): Promise<'done' | 'failed' | 'pending'> {
  const context = new Uint8Array(0);
  const proposed = leader().proposeConfChange({ type, nodeId, context }, network.nowMs + 1_000);
  const outcome = Promise.allSettled([proposed]);
  await network.tick(2);
  return (await stateOf(outcome)) === 'pending' ? 'pending' : stateOf(proposed);
}

/** Stops the replica, which keeps its vote, and starts it with nothing. */
async function beginAnew(node: HostNode): Promise<Group<string>> {
  node.host.stopGroup(GROUP);
  await node.host.forgetGroup(GROUP, { keepVote: true });
  return node.start(GROUP, []);
}

describe('a replica that left and comes back', () => {
  /** What `from` says of its log is kept from the leader until the returned function is called. */
  function holdAnswers(from: NodeId): () => void {
    const held: Message[] = [];
    const send = network.send.bind(network);
    network.send = (group, message) => {
      const { type, reject } = message;
      if (message.from !== from || type !== MessageType.AppResp || reject) send(group, message);
      else held.push(message);
    };
    return () => {
      network.send = send;
      for (const message of held) send(GROUP, message);
      expect(held.length).toBeGreaterThan(0);
    };
  }

  async function untilLed(): Promise<void> {
    for (let count = 0; count < TRIES_MAX; count++) {
      if ([...nodes.keys()].some((id) => groupOf(id).isLeader)) return;
      await network.tick(1);
    }
    throw new Error('nobody leads');
  }

  it('a late append response of its former life does not count for it', async () => {
    const away = follower();
    const release = holdAnswers(away.id);
    await write('b');
    expect(away.machines.get(GROUP)?.texts).toEqual(['a', 'b']);
    expect(await change(ConfChangeType.RemoveNode, away.id)).toBe('done');
    const fresh = await beginAnew(away);
    network.isolate(away.id);
    if ((await change(ConfChangeType.AddNode, away.id)) !== 'done') {
      const { term } = leader().status();
      leader().renewTerm();
      await untilLed();
      expect(leader().status().term).toBeGreaterThan(term);
      expect(await change(ConfChangeType.AddNode, away.id)).toBe('done');
    }
    expect(leader().confState().voters).toContain(away.id);
    // It was told nothing yet; now what it said before it left arrives.
    expect(fresh.status().lastIndex).toBe(0);
    network.heal();
    network.cut.add(`${leader().status().leader}>${away.id}`);
    release();
    await network.settle();
    expect(leader().progress().get(away.id)?.match).toBe(0);
    // Nor is anything committed with its help: of three voters, one has the entry.
    const third = [...nodes.keys()].find((id) => id !== away.id && !groupOf(id).isLeader) ?? 0;
    network.isolate(third);
    network.cut.add(`${leader().status().leader}>${away.id}`);
    const lonely = leader().propose(text('c'), FAR);
    await network.tick(1);
    expect(await stateOf(lonely)).toBe('pending');
    network.heal();
    await network.tick(15);
    expect(away.machines.get(GROUP)?.texts.slice(0, 2)).toEqual(['a', 'b']);
    expect([...nodes.values()].flatMap((node) => node.fatal)).toEqual([]);
  });

  it('is refused for the term in which it left, as a learner too, and nobody else is', async () => {
    const away = follower();
    expect(await change(ConfChangeType.RemoveNode, away.id)).toBe('done');
    const { term } = leader().status();
    expect(leader().mayReturn(away.id)).toBe(false);
    for (const type of [ConfChangeType.AddNode, ConfChangeType.AddLearnerNode]) {
      const change = { type, nodeId: away.id, context: new Uint8Array(0) };
      const refused = { code: 'not-ready', message: expect.stringContaining('another') as string };
      await expect(leader().proposeConfChange(change, FAR)).rejects.toMatchObject(refused);
    }
    expect(await change(ConfChangeType.AddLearnerNode, 9)).toBe('done');
    leader().renewTerm();
    await untilLed();
    expect(leader().status().term).toBeGreaterThan(term);
    expect(leader().mayReturn(away.id)).toBe(true);
    expect(await change(ConfChangeType.AddLearnerNode, away.id)).toBe('done');
    expect(leader().confState().learners).toEqual([away.id, 9].sort());
  });

  it('a late heartbeat that speaks of entries of its former life does not end its node', async () => {
    const away = follower();
    const { leader: from, term, commitIndex: commit } = groupOf(away.id).status();
    expect(commit).toBeGreaterThan(0);
    expect(await change(ConfChangeType.RemoveNode, away.id)).toBe('done');
    const fresh = await beginAnew(away);
    const heartbeat = { type: MessageType.Heartbeat, to: away.id, from, term, commit };
    away.host.receive(GROUP, { ...EMPTY_MESSAGE, ...heartbeat });
    await network.settle();
    expect(away.fatal).toEqual([]);
    expect(fresh.status()).toMatchObject({ leader: from, commitIndex: 0, lastIndex: 0 });
  });

  it('a heartbeat that speaks of entries it has commits them', async () => {
    const behind = follower();
    const { leader: from, term } = groupOf(behind.id).status();
    const before = groupOf(behind.id).status().commitIndex;
    // The entry arrives; the word that it is committed does not.
    const send = network.send.bind(network);
    network.send = (group, message) => {
      const mayPass = message.to !== behind.id || message.entries.length > 0;
      if (mayPass) send(group, { ...message, commit: Math.min(message.commit, before) });
    };
    leader()
      .propose(text('b'), FAR)
      .catch(() => undefined);
    await network.settle();
    const { commitIndex, lastIndex } = groupOf(behind.id).status();
    expect([commitIndex, lastIndex]).toEqual([before, before + 1]);
    const heartbeat = { type: MessageType.Heartbeat, to: behind.id, from, term, commit: lastIndex };
    behind.host.receive(GROUP, { ...EMPTY_MESSAGE, ...heartbeat });
    await network.settle();
    expect(groupOf(behind.id).status().commitIndex).toBe(lastIndex);
    expect(behind.machines.get(GROUP)?.texts).toEqual(['a', 'b']);
  });
});

describe('a leader that renews its term', () => {
  it('alone in its group leads the next one, and everybody may return', async () => {
    for (const id of [...nodes.keys()]) {
      if (groupOf(id).isLeader) continue;
      expect(await change(ConfChangeType.RemoveNode, id)).toBe('done');
      nodes.get(id)?.host.stopGroup(GROUP);
      nodes.delete(id);
    }
    const [gone] = [1, 2, 3].filter((id) => !nodes.has(id));
    const only = leader();
    const { term } = only.status();
    expect(only.confState().voters).toHaveLength(1);
    expect(only.mayReturn(gone ?? 0)).toBe(false);
    only.renewTerm();
    await network.tick(2);
    expect(only.isLeader).toBe(true);
    expect(only.status().term).toBeGreaterThan(term);
    expect(only.mayReturn(gone ?? 0)).toBe(true);
    await write('more');
    await only.readBarrier(FAR);
  });

  it('and does not lead, or runs no more, does nothing', async () => {
    const [one] = [...nodes.values()].filter(({ id }) => !groupOf(id).isLeader);
    const { term } = leader().status();
    groupOf(one?.id ?? 0).renewTerm();
    await network.tick(3);
    expect(leader().status().term).toBe(term);
    const stopped = leader();
    nodes.get(stopped.status().leader)?.host.stopGroup(GROUP);
    stopped.renewTerm();
    await network.settle();
    expect(stopped.status().term).toBe(term);
  });
});

describe('a replica that was given up before it had a term', () => {
  it('leaves a mark all the same: it does not found its group, over a crash too', async () => {
    const OTHER = 8;
    const node = follower();
    const group = node.start(OTHER, []);
    await network.settle();
    expect(group.status().term).toBe(0);
    node.host.stopGroup(OTHER);
    await node.host.forgetGroup(OTHER, { keepVote: true });
    expect(node.store.group(OTHER).isStored).toBe(true);
    const again = await HostNode.open(network, node.id, {}, node.crash());
    expect(again.store.group(OTHER).isStored).toBe(true);
    const restarted = again.start(OTHER, [node.id]);
    await network.tick(15);
    expect(restarted.isLeader).toBe(false);
    expect(restarted.confState().voters).toEqual([]);
    // Without the mark it would have.
    again.host.stopGroup(OTHER);
    await again.host.forgetGroup(OTHER);
    expect(again.store.group(OTHER).isStored).toBe(false);
    const founded = again.start(OTHER, [node.id]);
    await network.settle();
    expect(founded.isLeader).toBe(true);
  });
});
