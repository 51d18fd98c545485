import { describe, expect, it } from 'vitest';
import { TestCluster, TestReplica, bytesOf } from '../../test/support/cluster.js';
import { ConfChangeTransition, ConfChangeType } from './confchange/types.js';
import { RaftErrorCode } from './errors.js';
import { newMessage } from './message.js';
import { StateType } from './ready.js';
import { EntryType, MessageType, type Message } from './types.js';

const dropped: unknown = expect.objectContaining({ code: RaftErrorCode.ProposalDropped });

describe('elections', () => {
  it('a split vote elects nobody, and the next term elects one leader', () => {
    const cluster = new TestCluster([1, 2, 3, 4]);
    cluster.delivers = () => false;
    cluster.node(1).campaign();
    cluster.node(2).campaign();
    cluster.delivers = ({ type, from, to }) =>
      type !== MessageType.Vote || (from === 1 && to === 3) || (from === 2 && to === 4);
    cluster.settle();
    expect(cluster.leaders()).toEqual([]);
    cluster.heal();
    cluster.elect(1);
    expect(cluster.leaders()).toEqual([1]);
    expect(cluster.node(1).raft.term).toBe(3);
  });

  it('a candidate whose log is behind is not elected', () => {
    const cluster = new TestCluster([1, 2, 3]);
    cluster.elect(1);
    cluster.isolate(3);
    cluster.propose(1, 'a');
    cluster.settle();
    cluster.heal();
    cluster.elect(3);
    expect(cluster.leaders()).toEqual([]);
    cluster.elect(2);
    expect(cluster.leaders()).toEqual([2]);
  });

  it('a vote is remembered over a restart', () => {
    const cluster = new TestCluster([1, 2, 3]);
    const voter = cluster.replica(3);
    const voteFor = (from: number): Message => ({
      ...newMessage(MessageType.Vote, 3),
      from,
      term: 5,
      index: 3,
      logTerm: 1,
    });
    cluster.deliver(voteFor(1));
    expect(voter.work()).toMatchObject([{ type: MessageType.VoteResp, to: 1, reject: false }]);
    voter.restart();
    expect(voter.node.raft).toMatchObject({ term: 5, vote: 1 });
    cluster.deliver(voteFor(2));
    expect(voter.work()).toMatchObject([{ type: MessageType.VoteResp, to: 2, reject: true }]);
    cluster.deliver(voteFor(1));
    expect(voter.work()).toMatchObject([{ type: MessageType.VoteResp, to: 1, reject: false }]);
  });

  it('the election timeout lies in [T, 2T) and is drawn anew for each role', () => {
    const draws = [0, 0.5, 0.999];
    let at = 0;
    const replica = new TestReplica(1, { random: () => draws[at++ % draws.length] ?? 0 });
    replica.node.bootstrap([{ id: 1 }, { id: 2 }]);
    const { raft } = replica.node;
    const seen = new Set<number>();
    for (let round = 0; round < 6; round++) {
      raft.becomeFollower(raft.term, 0);
      seen.add(raft.randomizedElectionTimeout);
    }
    expect([...seen].sort((a, b) => a - b)).toEqual([10, 15, 19]);
  });

  it('with pre-vote, a replica that was cut off does not depose the leader when it returns', () => {
    const cluster = new TestCluster([1, 2, 3], { preVote: true, checkQuorum: true });
    cluster.elect(1);
    const { term } = cluster.node(1).raft;
    cluster.isolate(3);
    cluster.tick(3, 100);
    expect(cluster.node(3).raft).toMatchObject({ term, state: StateType.PreCandidate });
    cluster.heal();
    cluster.tick(3, 20);
    cluster.tick(1);
    expect(cluster.leaders()).toEqual([1]);
    expect(cluster.node(1).raft.term).toBe(term);
    expect(cluster.node(3).raft.lead).toBe(1);
  });

  it('with check-quorum, a leader without a quorum steps down within two election timeouts', () => {
    const cluster = new TestCluster([1, 2, 3], { checkQuorum: true });
    cluster.elect(1);
    cluster.isolate(1);
    cluster.tick(1, 20);
    expect(cluster.leaders()).toEqual([]);
    expect(() => cluster.propose(1, 'lost')).toThrow(dropped);
  });

  it('with check-quorum, no vote is given while the leader is heard of', () => {
    const cluster = new TestCluster([1, 2, 3], { checkQuorum: true });
    cluster.elect(1);
    cluster.tick(1, 3);
    cluster.delivers = ({ to, from }) => to === 2 || from === 2;
    cluster.elect(3);
    cluster.node(2).step({ ...newMessage(MessageType.Vote, 2), from: 3, term: 9, index: 99 });
    expect(cluster.node(2).raft.term).toBe(1 + 1);
    expect(cluster.node(2).raft.lead).toBe(1);
  });

  it('leadership moves to the replica it is handed to, without a timeout', () => {
    const cluster = new TestCluster([1, 2, 3], { preVote: true, checkQuorum: true });
    cluster.elect(1);
    cluster.isolate(3);
    cluster.propose(1, 'a');
    cluster.settle();
    cluster.heal();
    cluster.node(1).transferLeader(3);
    expect(() => cluster.propose(1, 'b')).toThrow(dropped);
    cluster.tick(1);
    cluster.settle();
    expect(cluster.leaders()).toEqual([3]);
    expect(cluster.replica(3).applied).toEqual(['a']);
  });

  it('a transfer that does not finish in an election timeout is given up', () => {
    const cluster = new TestCluster([1, 2, 3]);
    cluster.elect(1);
    cluster.isolate(3);
    cluster.node(1).transferLeader(3);
    cluster.tick(1, 10);
    cluster.propose(1, 'a');
    cluster.settle();
    expect(cluster.leaders()).toEqual([1]);
    expect(cluster.replica(2).applied).toEqual(['a']);
  });
});

describe('the commit rule', () => {
  it('an entry of an earlier term is never committed by counting replicas', () => {
    const cluster = new TestCluster([1, 2, 3, 4, 5]);
    cluster.elect(1);
    // Term 2: an entry that reaches 2 alone.
    cluster.delivers = ({ to }) => to === 2;
    cluster.propose(1, 'old');
    cluster.settle();
    const { term: oldTerm } = cluster.node(1).raft;
    const index = cluster.node(1).raft.log.lastIndex();
    // Term 3: replica 5, which lacks it, leads, and tells nobody of its own entry.
    cluster.delivers = ({ type, from }) =>
      from !== 1 && from !== 2 && (type === MessageType.Vote || type === MessageType.VoteResp);
    cluster.elect(5);
    expect(cluster.leaders()).toContain(5);
    // Term 4: replica 1 leads again and brings the old entry to a majority, but not its own.
    cluster.delivers = ({ type, from, to, entries }) => {
      if (from === 5 || to === 5) return false;
      return type !== MessageType.App || entries.every((entry) => entry.term <= oldTerm);
    };
    cluster.elect(1);
    cluster.elect(1);
    expect(cluster.node(1).isLeader()).toBe(true);
    expect(cluster.node(1).raft.term).toBeGreaterThan(oldTerm + 1);
    const { raft } = cluster.node(1);
    const old = raft.log.slice(index, index + 1, Infinity);
    for (const to of [2, 3, 4]) {
      const append: Message = {
        ...newMessage(MessageType.App, to),
        from: 1,
        term: raft.term,
        index: index - 1,
        logTerm: raft.log.termOrZero(index - 1),
        entries: old,
        commit: raft.log.committed,
      };
      cluster.deliver(append);
    }
    cluster.settle();
    expect(raft.tracker.committed()).toBe(index);
    expect(raft.log.committed).toBeLessThan(index);
    // Its own entry commits the old one with it.
    cluster.heal();
    cluster.tick(1);
    expect(raft.log.committed).toBeGreaterThan(index);
    expect(cluster.replica(3).applied).toEqual(['old']);
  });

  it('nothing is committed without a majority', () => {
    const cluster = new TestCluster([1, 2, 3, 4, 5]);
    cluster.elect(1);
    cluster.delivers = ({ from, to }) => from <= 2 && to <= 2;
    cluster.propose(1, 'a');
    cluster.settle();
    expect(cluster.replica(1).applied).toEqual([]);
    cluster.heal();
    cluster.tick(1);
    expect([1, 2, 3, 4, 5].map((id) => cluster.replica(id).applied)).toEqual(
      Array.from({ length: 5 }, () => ['a']),
    );
  });

  it('a deposed leader never applies what it appended alone', () => {
    const cluster = new TestCluster([1, 2, 3]);
    cluster.elect(1);
    cluster.isolate(1);
    cluster.propose(1, 'lost');
    cluster.settle();
    cluster.elect(2);
    cluster.propose(2, 'kept');
    cluster.settle();
    cluster.heal();
    cluster.tick(2);
    for (const id of [1, 2, 3]) expect(cluster.replica(id).applied).toEqual(['kept']);
  });
});

describe('proposals', () => {
  it('beyond the limit of uncommitted bytes they are refused, and taken again once applied', () => {
    const cluster = new TestCluster([1, 2, 3], { uncommittedBytesMax: 10 });
    cluster.elect(1);
    cluster.isolate(1);
    cluster.propose(1, '123456');
    cluster.propose(1, '1234');
    expect(() => cluster.propose(1, 'x')).toThrow(dropped);
    // Empty payloads are what elections and membership need: they always fit.
    cluster.propose(1, '');
    cluster.heal();
    cluster.settle();
    cluster.tick(1);
    expect(cluster.node(1).raft.uncommittedBytes).toBe(0);
    cluster.propose(1, 'larger than the limit, but alone');
    expect(() => cluster.propose(1, 'x')).toThrow(dropped);
  });

  it('a follower passes them to the leader, or refuses if told to', () => {
    const forwarding = new TestCluster([1, 2, 3]);
    forwarding.elect(1);
    forwarding.propose(2, 'a');
    forwarding.settle();
    expect(forwarding.replica(3).applied).toEqual(['a']);
    const refusing = new TestCluster([1, 2, 3], { disableProposalForwarding: true });
    refusing.elect(1);
    expect(() => refusing.propose(2, 'a')).toThrow(dropped);
  });

  it('the log keeps the very bytes that were proposed, without a copy', () => {
    const cluster = new TestCluster([1]);
    cluster.elect(1);
    const data = bytesOf('payload');
    cluster.node(1).propose(data);
    const last = cluster.node(1).raft.log.lastIndex();
    expect(cluster.node(1).raft.log.slice(last, last + 1, Infinity)[0]?.data).toBe(data);
  });

  it('a second membership change waits until the first is applied', () => {
    const cluster = new TestCluster([1, 2, 3]);
    cluster.elect(1);
    const add = (nodeId: number) => ({
      type: ConfChangeType.AddNode,
      nodeId,
      context: new Uint8Array(0),
    });
    cluster.node(1).proposeConfChange(add(4));
    cluster.node(1).proposeConfChange(add(5));
    const { log } = cluster.node(1).raft;
    const last = log.lastIndex();
    const [first, second] = log.slice(last - 1, last + 1, Infinity);
    expect(first?.type).toBe(EntryType.ConfChange);
    expect(second?.type).toBe(EntryType.Normal);
    cluster.settle();
    expect(cluster.node(1).status().confState.voters).toEqual([1, 2, 3, 4]);
  });

  it('a joint configuration needs both majorities and is left by itself', () => {
    const cluster = new TestCluster([1, 2, 3]);
    cluster.elect(1);
    cluster.node(1).proposeConfChange({
      transition: ConfChangeTransition.Auto,
      changes: [
        { type: ConfChangeType.AddLearnerNode, nodeId: 3 },
        { type: ConfChangeType.RemoveNode, nodeId: 2 },
      ],
      context: new Uint8Array(0),
    });
    cluster.isolate(2);
    cluster.settle();
    const { confState } = cluster.node(1).status();
    expect(confState).toMatchObject({ voters: [1], learners: [3], votersOutgoing: [] });
    expect(cluster.node(3).raft.isLearner).toBe(true);
  });

  it('a leader that is removed steps down if it was told to', () => {
    const cluster = new TestCluster([1, 2, 3], { stepDownOnRemoval: true });
    cluster.elect(1);
    const type = ConfChangeType.RemoveNode;
    cluster.node(1).proposeConfChange({ type, nodeId: 1, context: new Uint8Array(0) });
    cluster.settle();
    expect(cluster.leaders()).toEqual([]);
    cluster.elect(2);
    expect(cluster.leaders()).toEqual([2]);
    expect(() => cluster.propose(1, 'x')).toThrow(dropped);
  });
});

describe('flow control', () => {
  it('no more appends are in flight to a follower than the window allows', () => {
    const cluster = new TestCluster([1, 2, 3], { inflightMessagesMax: 3, messageBytesMax: 0 });
    cluster.elect(1);
    const sent: Message[] = [];
    cluster.delivers = (message) => {
      if (message.to === 3 && message.entries.length > 0) sent.push(message);
      return message.to !== 3;
    };
    for (let at = 0; at < 10; at++) cluster.propose(1, `entry ${at}`);
    cluster.settle();
    expect(sent).toHaveLength(3);
    expect(cluster.replica(1).applied).toHaveLength(10);
    cluster.heal();
    cluster.tick(1, 2);
    expect(cluster.replica(3).applied).toHaveLength(10);
  });

  it('a follower that fell behind the log gets a snapshot and then entries', () => {
    const cluster = new TestCluster([1, 2, 3]);
    cluster.elect(1);
    cluster.isolate(3);
    for (let at = 0; at < 5; at++) cluster.propose(1, `entry ${at}`);
    cluster.settle();
    const { storage, node } = cluster.replica(1);
    const { applied } = node.raft.log;
    storage.createSnapshot(applied, node.status().confState, bytesOf('state'));
    storage.compact(applied);
    cluster.heal();
    cluster.tick(1);
    cluster.propose(1, 'after');
    cluster.settle();
    expect(cluster.replica(3).storage.snapshot().metadata.index).toBe(applied);
    expect(cluster.replica(3).applied).toEqual(['after']);
    expect(node.status().progress.get(3)).toMatchObject({ state: 'StateReplicate' });
  });
});
