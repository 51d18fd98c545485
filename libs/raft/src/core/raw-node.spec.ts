import { describe, expect, it } from 'vitest';
import { TestCluster, TestReplica, bytesOf } from '../../test/support/cluster.js';
import { RaftErrorCode, RaftInvariantError } from './errors.js';
import { MemoryStorage } from './memory-storage.js';
import { newMessage } from './message.js';
import { RawNode } from './raw-node.js';
import { LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, MessageType, type Message } from './types.js';

const withCode = (code: string): unknown => expect.objectContaining({ code });

describe('bootstrap', () => {
  it('founds a group whose members agree on the membership before any message', () => {
    const replica = new TestReplica(1, {});
    replica.node.bootstrap([{ id: 1 }, { id: 2 }, { id: 3 }]);
    const ready = replica.node.ready();
    expect(ready.hardState).toEqual({ term: 1, vote: 0, commit: 3 });
    expect(ready.entries.map(({ index, term }) => [index, term])).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
    ]);
    expect(ready.committedEntries).toEqual(ready.entries);
    expect(ready.mustSync).toBe(true);
    expect(replica.node.status().confState.voters).toEqual([1, 2, 3]);
  });

  it('is refused without peers and on a log that is not empty', () => {
    const replica = new TestReplica(1, {});
    const refused = withCode(RaftErrorCode.BootstrapRefused);
    expect(() => replica.node.bootstrap([])).toThrow(refused);
    replica.node.bootstrap([{ id: 1 }]);
    expect(() => replica.node.bootstrap([{ id: 1 }])).toThrow(refused);
  });
});

describe('restart', () => {
  it('continues with the stored term, vote, log and commit index, and applies nothing twice', () => {
    const cluster = new TestCluster([1, 2, 3]);
    cluster.elect(1);
    for (const text of ['a', 'b']) cluster.propose(1, text);
    cluster.settle();
    const replica = cluster.replica(2);
    const { confState } = replica.node.status();
    const { applied } = replica.node.raft.log;
    replica.storage.createSnapshot(applied, confState, bytesOf('a b'));
    const before = replica.node.raft.hardState();
    replica.restart();
    expect(replica.node.raft.hardState()).toEqual(before);
    expect(replica.node.hasReady()).toBe(false);
    cluster.propose(1, 'c');
    cluster.settle();
    expect(replica.applied).toEqual(['a', 'b', 'c']);
  });

  it('hands out committed entries that the state machine does not have', () => {
    const storage = new MemoryStorage();
    const replica = new TestReplica(1, {}, storage);
    replica.node.bootstrap([{ id: 1 }]);
    replica.work();
    replica.node.campaign();
    replica.work();
    replica.node.propose(bytesOf('a'));
    while (replica.node.hasReady()) replica.work();
    const again = new TestReplica(1, {}, storage);
    expect(again.node.ready().committedEntries.map(({ index }) => index)).toEqual([1, 2, 3]);
  });

  it('refuses a commit index beyond the end of the log: entries were lost', () => {
    const storage = new MemoryStorage();
    storage.setHardState({ term: 1, vote: 0, commit: 7 });
    expect(() => new TestReplica(1, {}, storage)).toThrow(RaftInvariantError);
  });
});

describe('batches', () => {
  it('a commit index alone needs no sync; entries, terms and votes do', () => {
    const cluster = new TestCluster([1]);
    const { node } = cluster.replica(1);
    node.campaign();
    const vote = node.ready();
    expect(vote).toMatchObject({ mustSync: true, entries: [], hardState: { term: 2, vote: 1 } });
    node.advance();
    const entry = node.ready();
    expect(entry).toMatchObject({ mustSync: true, hardState: undefined });
    cluster.replica(1).storage.append(entry.entries);
    node.advance();
    expect(node.ready()).toMatchObject({ mustSync: false, hardState: { commit: 2 } });
    node.advance();
    expect(node.hasReady()).toBe(false);
  });

  it('a batch must be advanced before the next one is taken', () => {
    const { node } = new TestCluster([1]).replica(1);
    node.campaign();
    node.ready();
    expect(() => node.ready()).toThrow(RaftInvariantError);
  });

  it('committed entries come in portions, and the next only after the last was applied', () => {
    const cluster = new TestCluster([1], { committedBytesMax: 1, asyncStorageWrites: false });
    cluster.elect(1);
    for (const text of ['a', 'b', 'c']) cluster.propose(1, text);
    const portions: number[] = [];
    const { node, storage } = cluster.replica(1);
    while (node.hasReady()) {
      const ready = node.ready();
      storage.append(ready.entries);
      portions.push(ready.committedEntries.length);
      node.advance();
    }
    expect(portions).toEqual([0, 1, 1, 1]);
  });
});

describe('asynchronous storage writes', () => {
  function asyncNode(ids: readonly number[], storage = new MemoryStorage()): RawNode {
    const confState = {
      voters: ids,
      learners: [],
      votersOutgoing: [],
      learnersNext: [],
      autoLeave: false,
    };
    storage.applySnapshot({
      data: new Uint8Array(0),
      metadata: { index: 5, term: 1, confState },
    });
    return new RawNode({
      id: 1,
      storage,
      electionTicks: 10,
      heartbeatTicks: 1,
      random: () => 0,
      applied: 5,
      asyncStorageWrites: true,
    });
  }
  const toThread = (messages: readonly Message[], thread: number) =>
    messages.filter(({ to }) => to === thread);

  it('a vote is answered only once it is stored', () => {
    const node = asyncNode([1, 2, 3]);
    const request = newMessage(MessageType.Vote, 1);
    node.step({ ...request, from: 2, term: 3, index: 5, logTerm: 1 });
    const { messages } = node.ready();
    expect(messages).toHaveLength(1);
    expect(messages[0]).toMatchObject({
      type: MessageType.StorageAppend,
      to: LOCAL_APPEND_THREAD,
      term: 3,
      vote: 2,
      responses: [{ type: MessageType.VoteResp, to: 2, reject: false }],
    });
  });

  it('an entry of a single voter commits and is applied only after it was stored', () => {
    const storage = new MemoryStorage();
    const node = asyncNode([1], storage);
    node.campaign();
    const step = (messages: readonly Message[]) => {
      for (const { entries, responses } of toThread(messages, LOCAL_APPEND_THREAD)) {
        storage.append(entries);
        for (const response of responses) node.step(response);
      }
    };
    step(node.ready().messages);
    step(node.ready().messages);
    while (node.hasReady()) node.ready();
    node.propose(bytesOf('a'));
    const proposed = node.ready();
    expect(toThread(proposed.messages, LOCAL_APPLY_THREAD)).toEqual([]);
    expect(node.hasReady()).toBe(false);
    node.propose(bytesOf('b'));
    const next = node.ready();
    expect(next.entries.map(({ index }) => index)).toEqual([8]);
    expect(toThread(next.messages, LOCAL_APPLY_THREAD)).toEqual([]);
    step(proposed.messages);
    const committed = node.ready();
    expect(committed.committedEntries).toEqual(proposed.entries);
    expect(toThread(committed.messages, LOCAL_APPLY_THREAD)).toHaveLength(1);
    expect(() => node.advance()).toThrow(RaftInvariantError);
  });

  it('an answer that waits for a later write is not attached to an earlier one', () => {
    const node = asyncNode([1, 2, 3]);
    node.step({ ...newMessage(MessageType.Heartbeat, 1), from: 2, term: 2 });
    const [, first] = node.ready().messages;
    expect(first).toMatchObject({ type: MessageType.StorageAppend, term: 2, responses: [] });
    const entries = [{ term: 2, index: 6, type: 0, data: bytesOf('a') }] as const;
    const append = { ...newMessage(MessageType.App, 1), from: 2, term: 2, entries };
    node.step({ ...append, index: 5, logTerm: 1 });
    expect(first?.responses).toEqual([]);
    const [second] = node.ready().messages;
    expect(second?.responses).toMatchObject([{ type: MessageType.AppResp, index: 6 }, {}]);
  });

  it('a report of entries that were replaced meanwhile does not make them stable', () => {
    const node = asyncNode([1, 2, 3]);
    const append = (term: number, from: number): Message => ({
      ...newMessage(MessageType.App, 1),
      from,
      term,
      index: 5,
      logTerm: 1,
      entries: [{ term, index: 6, type: 0, data: bytesOf(`of term ${term}`) }],
    });
    node.step(append(2, 2));
    const first = node.ready();
    node.step(append(3, 3));
    const second = node.ready();
    for (const { responses } of toThread(first.messages, LOCAL_APPEND_THREAD)) {
      for (const response of responses) if (response.to === 1) node.step(response);
    }
    expect(node.raft.log.unstable.entries.map(({ term }) => term)).toEqual([3]);
    for (const { responses } of toThread(second.messages, LOCAL_APPEND_THREAD)) {
      for (const response of responses) if (response.to === 1) node.step(response);
    }
    expect(node.raft.log.unstable.entries).toEqual([]);
  });
});

describe('step', () => {
  it('refuses local messages and answers of strangers', () => {
    const { node } = new TestCluster([1, 2]).replica(1);
    const from = (type: MessageType, id: number) => ({ ...newMessage(type, 1), from: id, term: 1 });
    expect(() => node.step(from(MessageType.Hup, 2))).toThrow(
      withCode(RaftErrorCode.StepLocalMessage),
    );
    expect(() => node.step(from(MessageType.AppResp, 9))).toThrow(
      withCode(RaftErrorCode.StepPeerNotFound),
    );
  });

  it('settings that contradict each other are refused', () => {
    const storage = new MemoryStorage();
    const config = { id: 1, electionTicks: 10, heartbeatTicks: 1, storage, random: () => 0 };
    const invalid = withCode(RaftErrorCode.ConfigInvalid);
    expect(() => new RawNode({ ...config, id: 0 })).toThrow(invalid);
    expect(() => new RawNode({ ...config, electionTicks: 1 })).toThrow(invalid);
    expect(() => new RawNode({ ...config, heartbeatTicks: 0 })).toThrow(invalid);
    expect(() => new RawNode({ ...config, readOnlyOption: 'lease-based' })).toThrow(invalid);
    expect(() => new RawNode({ ...config, inflightMessagesMax: 0 })).toThrow(invalid);
  });
});
