import { beforeEach, describe, expect, it, vi } from 'vitest';
import { HostNode, Network, stateOf, text, TextMachine } from '../../test/support/hosts.js';
import { ConfChangeType } from '../core/index.js';
import type { Group } from './group.js';

const FAR = 1e9;
let network: Network;
beforeEach(() => {
  network = new Network();
});

/** Keeps syncs of a node from finishing until it is opened again. */
function holdSyncs(node: HostNode): () => void {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  node.files.syncGate = () => held;
  return release;
}

describe('a group with one voter', () => {
  let node: HostNode;
  let group: Group<string>;
  beforeEach(async () => {
    node = await HostNode.open(network, 1);
    group = node.start(7, [1]);
    await network.settle();
  });

  it('leads without waiting for an election timeout', () => {
    expect(group.isLeader).toBe(true);
    expect(group.status()).toMatchObject({ term: 2, leader: 1, appliedIndex: 2 });
  });

  it('acknowledges a proposal only after its entry is on disk', async () => {
    const release = holdSyncs(node);
    const proposal = group.propose(text('a'), FAR);
    await network.settle();
    expect(await stateOf(proposal)).toBe('pending');
    expect(node.machines.get(7)?.texts).toEqual([]);
    release();
    await expect(proposal).resolves.toEqual({ result: 'a', index: 3, term: 2 });
  });

  it('gives each proposal its own result, in order', async () => {
    const texts = Array.from({ length: 100 }, (_, at) => `t${at}`);
    const outcomes = await Promise.all(texts.map((each) => group.propose(text(each), FAR)));
    expect(outcomes.map(({ result }) => result)).toEqual(texts);
    expect(outcomes.map(({ index }) => index)).toEqual(texts.map((_, at) => at + 3));
  });

  it('tells a proposal whose deadline passed once, and still applies its entry', async () => {
    const release = holdSyncs(node);
    const proposal = group.propose(text('late'), network.nowMs + 10);
    const outcome = expect(proposal).rejects.toMatchObject({ code: 'timeout', retryable: true });
    await network.settle();
    await network.tick(1);
    await outcome;
    release();
    await network.settle();
    expect(node.machines.get(7)?.texts).toEqual(['late']);
  });

  it('answers a linearizable read only once all that was acknowledged before is applied', async () => {
    const write = group.propose(text('a'), FAR);
    await write;
    await group.readBarrier(FAR);
    expect(node.machines.get(7)?.texts).toEqual(['a']);
  });

  it('is current without asking anybody: while it leads alone, knows what is committed, and runs', async () => {
    expect(group.isCurrent).toBe(true);
    await group.propose(text('a'), FAR);
    expect(group.isCurrent).toBe(true);
    const others = await Promise.all([2, 3].map((id) => HostNode.open(network, id)));
    const groups = others.map((other) => other.start(8, [2, 3]));
    await network.tick(100);
    expect(groups.filter(({ isLeader }) => isLeader)).toHaveLength(1);
    expect(groups.map(({ isCurrent }) => isCurrent)).toEqual([false, false]);
    node.host.stopGroup(7);
    expect(group.isCurrent).toBe(false);
  });

  it('that was started anew is not current before it has committed an entry of its term', async () => {
    await group.propose(text('a'), FAR);
    node.host.stopGroup(7);
    await network.settle();
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let syncs = 0;
    // Its vote gets to disk, the entry that it begins its term with does not.
    node.files.syncGate = () => (syncs++ < 2 ? Promise.resolve() : held);
    const again = node.start(7, [1]);
    await network.settle();
    expect(again.isLeader).toBe(true);
    expect(again.isCurrent).toBe(false);
    release();
    await network.settle();
    expect(again.isCurrent).toBe(true);
  });

  it('tells whoever submits in the tick in which the entry is applied, or is refused', async () => {
    const told: string[] = [];
    const waiter = {
      resolve: ({ result }: { result: string }) => {
        told.push(`${result} of ${String(node.machines.get(7)?.texts)}`);
      },
      reject: ({ code }: { code: string }) => void told.push(code),
    };
    group.submit(text('a'), FAR, waiter);
    expect(told).toEqual([]);
    await network.settle();
    expect(told).toEqual(['a of a']);
    node.host.stopGroup(7);
    group.submit(text('b'), FAR, waiter);
    expect(told).toEqual(['a of a', 'group-closed']);
  });

  it('after a failed write to the log nothing is acknowledged, and the node is told once', async () => {
    node.files.onOperation = (kind) => {
      if (kind === 'sync') throw new Error('EIO: planned');
    };
    const proposals = ['a', 'b'].map((each) => group.propose(text(each), FAR));
    const outcomes = await Promise.allSettled([...proposals, group.readBarrier(FAR)]);
    expect(outcomes.slice(0, 2).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await network.settle();
    expect(node.fatal).toHaveLength(1);
    await expect(group.propose(text('c'), FAR)).rejects.toMatchObject({ code: 'closed' });
    expect(node.machines.get(7)?.texts).toEqual([]);
  });

  it('that was stopped tells whoever waits and whoever comes later', async () => {
    holdSyncs(node);
    const waiting = group.propose(text('a'), FAR);
    const outcome = expect(waiting).rejects.toMatchObject({ code: 'group-closed' });
    node.host.stopGroup(7);
    await outcome;
    await expect(group.readBarrier(FAR)).rejects.toMatchObject({ code: 'group-closed' });
  });

  it('that was forgotten starts anew under its id', async () => {
    await group.propose(text('a'), FAR);
    node.host.stopGroup(7);
    await node.host.forgetGroup(7);
    const again = node.start(7, [1]);
    await network.settle();
    expect(again.status()).toMatchObject({ term: 2, lastIndex: 2 });
  });
});

describe('bounds', () => {
  it('more proposals than may wait are refused as busy, larger ones than fit as too large', async () => {
    const node = await HostNode.open(network, 1, { proposalsMax: 2, uncommittedBytesMax: 1_000 });
    const group = node.start(7, [1]);
    await network.settle();
    await expect(group.propose(new Uint8Array(1_001), FAR)).rejects.toMatchObject({
      code: 'too-large',
      retryable: false,
    });
    const release = holdSyncs(node);
    const taken = [group.propose(text('a'), FAR), group.propose(text('b'), FAR)];
    await expect(group.propose(text('c'), FAR)).rejects.toMatchObject({ code: 'busy' });
    release();
    await Promise.all(taken);
    await group.propose(text('d'), FAR);
  });

  it('one batch for the log carries the proposals of all groups of a turn', async () => {
    const node = await HostNode.open(network, 1);
    const groups = Array.from({ length: 200 }, (_, at) => node.start(at + 1, [1]));
    await network.settle();
    const write = vi.spyOn(node.store, 'write');
    await Promise.all(groups.map((group) => group.propose(text('x'), FAR)));
    const synced = write.mock.calls.filter(([, options]) => options?.sync === true);
    expect(synced).toHaveLength(1);
  });

  it('a group with much to apply lets another one in', async () => {
    const node = await HostNode.open(network, 1, { applyBytesMax: 64, applyBudgetMs: -1 });
    const [long, short] = [node.start(1, [1]), node.start(2, [1])];
    await network.settle();
    await network.settle();
    const many = Array.from({ length: 50 }, (_, at) => long.propose(text(`long ${at}`), FAR));
    await short.propose(text('short'), FAR);
    expect(node.machines.get(1)?.texts.length).toBeLessThan(50);
    await Promise.all(many);
  });
});

describe('a restart', () => {
  it('finds everything acknowledged, whatever the state machine had kept', async () => {
    for (const kept of [0, 2, 5, 12]) {
      const node = await HostNode.open(network, 1);
      const group = node.start(7, [1]);
      await network.settle();
      for (let at = 0; at < 10; at++) await group.propose(text(`t${at}`), FAR);
      const again = await HostNode.open(network, 1, {}, node.crash());
      const machine = new TextMachine();
      // As an engine that had written the first `kept` entries when the power went.
      machine.apply(Array.from({ length: kept }, (_, at) => entryFor(at + 1)));
      await again.start(7, [1], machine).readBarrier(FAR);
      expect(machine.texts).toEqual(Array.from({ length: 10 }, (_, at) => `t${at}`));
    }
    function entryFor(index: number) {
      return { index, data: text(index > 2 ? `t${index - 3}` : '') };
    }
  });

  it('before anything was stored founds the group once more', async () => {
    const node = await HostNode.open(network, 1);
    holdSyncs(node);
    node.start(7, [1]);
    await network.settle();
    const again = await HostNode.open(network, 1, {}, node.crash());
    const group = again.start(7, [1]);
    await group.readBarrier(FAR);
    expect(group.isLeader).toBe(true);
  });

  it('knows its members after the log of their changes was cut, whenever the power goes', async () => {
    const before = await HostNode.open(network, 1);
    const group = before.start(7, [1]);
    await network.settle();
    const change = { type: ConfChangeType.AddLearnerNode, nodeId: 2, context: new Uint8Array(0) };
    await group.proposeConfChange(change, FAR);

    // What was written beside the entries, unsynced, is gone: the configuration among it.
    const machine = before.machines.get(7);
    if (!machine) throw new Error('a group without a machine');
    const after = await HostNode.open(network, 1, {}, before.crash());
    const again = after.start(7, [1], machine);
    expect(again.confState()).toMatchObject({ voters: [1], learners: [2] });
    await after.host.compact(new Map([[7, machine.appliedIndex]]));
    const last = await HostNode.open(network, 1, {}, after.crash());
    const cut = last.start(7, [1], machine);
    expect(cut.log.firstIndex()).toBe(machine.appliedIndex + 1);
    expect(cut.confState()).toMatchObject({ voters: [1], learners: [2] });
  });

  it('with a log that ends before the state, or begins after it, is refused', async () => {
    const node = await HostNode.open(network, 1);
    const ahead = new TextMachine();
    ahead.appliedIndex = 9;
    expect(() => node.start(7, [1], ahead)).toThrow('the log ends at 0');
    const group = node.start(8, [1]);
    await network.settle();
    for (let at = 0; at < 5; at++) await group.propose(text('x'), FAR);
    await node.host.compact(new Map([[8, 4]]));
    node.host.stopGroup(8);
    expect(() => node.start(8, [1])).toThrow('the log begins at 5');
  });
});

describe('three voters', () => {
  const PEERS = [1, 2, 3];
  let nodes: HostNode[];
  beforeEach(async () => {
    nodes = [];
    for (const id of PEERS) nodes.push(await HostNode.open(network, id));
    for (const node of nodes) node.start(7, PEERS);
    await network.tick(12);
  });
  const groups = () => nodes.map((node) => node.groups.get(7));
  const leader = () => {
    const found = groups().find((group) => group?.isLeader);
    if (!found) throw new Error('nobody leads');
    return found;
  };
  const idOf = (group: Group<string>) => groups().indexOf(group) + 1;

  it('elect one leader, and every replica applies what it acknowledges', async () => {
    expect(groups().filter((group) => group?.isLeader)).toHaveLength(1);
    await leader().propose(text('a'), FAR);
    await network.tick(2);
    expect(nodes.map((node) => node.machines.get(7)?.texts)).toEqual([['a'], ['a'], ['a']]);
  });

  it('a replica that does not lead refuses proposals', async () => {
    const follower = groups().find((group) => group?.isLeader === false);
    await expect(follower?.propose(text('a'), FAR)).rejects.toMatchObject({ code: 'not-ready' });
  });

  it('a deposed leader acknowledges neither writes nor reads, and its entries are replaced', async () => {
    const old = leader();
    await old.propose(text('before'), FAR);
    network.isolate(idOf(old));
    const lost = old.propose(text('lost'), FAR);
    const read = old.readBarrier(FAR);
    const outcomes = Promise.allSettled([lost]);
    await network.tick(1);
    expect([await stateOf(lost), await stateOf(read)]).toEqual(['pending', 'pending']);
    await network.tick(25);
    const fresh = groups().find((group) => group !== old && group?.isLeader);
    if (!fresh) throw new Error('nobody took over');
    await fresh.propose(text('kept'), FAR);
    expect([await stateOf(lost), await stateOf(read)]).toEqual(['pending', 'pending']);
    network.heal();
    await network.tick(5);
    await fresh.propose(text('more'), FAR);
    await network.tick(5);
    expect((await outcomes)[0]).toMatchObject({ status: 'rejected', reason: { code: 'aborted' } });
    const texts = nodes.map((node) => node.machines.get(7)?.texts);
    expect(texts).toEqual(PEERS.map(() => ['before', 'kept', 'more']));
    // Its read now goes through the new leader, and sees what that one acknowledged.
    await read;
  });

  it('all reads that wait share one round, and a late one does not join it', async () => {
    const group = leader();
    const send = vi.spyOn(network, 'send');
    await Promise.all(Array.from({ length: 50 }, () => group.readBarrier(FAR)));
    const asked = send.mock.calls.filter(([, { context }]) => context && context.length > 0);
    // One heartbeat to and one answer from each of the other two.
    expect(asked.length).toBeLessThanOrEqual(4);
  });

  it('a read round whose messages were lost is asked again', async () => {
    const group = leader();
    network.isolate(idOf(group));
    const read = group.readBarrier(FAR);
    await network.tick(1);
    network.heal();
    expect(await stateOf(read)).toBe('pending');
    await network.tick(15);
    expect(await stateOf(read)).toBe('done');
  });

  it('what was acknowledged survives a power cut of all of them', async () => {
    for (let at = 0; at < 20; at++) await leader().propose(text(`t${at}`), FAR);
    const disks = nodes.map((node) => node.crash());
    nodes = [];
    for (const [at, files] of disks.entries()) {
      nodes.push(await HostNode.open(network, at + 1, {}, files));
    }
    for (const node of nodes) node.start(7, PEERS);
    await network.tick(15);
    await leader().readBarrier(FAR);
    await network.tick(3);
    const expected = Array.from({ length: 20 }, (_, at) => `t${at}`);
    expect(nodes.map((node) => node.machines.get(7)?.texts)).toEqual(PEERS.map(() => expected));
  });
});
