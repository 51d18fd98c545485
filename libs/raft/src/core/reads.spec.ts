import { describe, expect, it } from 'vitest';
import { TestCluster, bytesOf, textOf } from '../../test/support/cluster.js';
import { MessageType } from './types.js';

function readsOf(cluster: TestCluster, id: number): [string, number][] {
  return cluster
    .replica(id)
    .reads.map(({ requestContext, index }) => [textOf(requestContext), index]);
}

describe('ReadIndex', () => {
  it('is not answered while the leader cannot reach a quorum', () => {
    const cluster = new TestCluster([1, 2, 3]);
    cluster.elect(1);
    cluster.isolate(1);
    cluster.node(1).readIndex(bytesOf('r'));
    cluster.settle();
    cluster.tick(1, 5);
    expect(readsOf(cluster, 1)).toEqual([]);
    // The others elect a new leader and write: the old one must never answer.
    cluster.elect(2);
    cluster.propose(2, 'new');
    cluster.settle();
    cluster.heal();
    cluster.tick(1, 3);
    cluster.tick(2, 3);
    expect(readsOf(cluster, 1)).toEqual([]);
  });

  it('is answered with the commit index at the time of the request', () => {
    const cluster = new TestCluster([1, 2, 3]);
    cluster.elect(1);
    cluster.propose(1, 'a');
    cluster.settle();
    const { committed } = cluster.node(1).raft.log;
    cluster.node(1).readIndex(bytesOf('r'));
    cluster.settle();
    expect(readsOf(cluster, 1)).toEqual([['r', committed]]);
  });

  it('goes from a follower to the leader and back', () => {
    const cluster = new TestCluster([1, 2, 3]);
    cluster.elect(1);
    cluster.node(3).readIndex(bytesOf('r'));
    cluster.settle();
    expect(readsOf(cluster, 3)).toEqual([['r', cluster.node(1).raft.log.committed]]);
    expect(readsOf(cluster, 1)).toEqual([]);
  });

  it('waits until the leader has committed an entry of its own term', () => {
    const cluster = new TestCluster([1, 2, 3]);
    const appends: number[] = [];
    cluster.delivers = ({ type, to }) => {
      if (type === MessageType.App) appends.push(to);
      return type !== MessageType.App;
    };
    cluster.elect(1);
    cluster.node(1).readIndex(bytesOf('r'));
    cluster.settle();
    expect(appends.length).toBeGreaterThan(0);
    expect(readsOf(cluster, 1)).toEqual([]);
    cluster.heal();
    cluster.tick(1);
    const { log, term } = cluster.node(1).raft;
    expect(log.termOrZero(log.committed)).toBe(term);
    expect(readsOf(cluster, 1)).toEqual([['r', log.committed]]);
  });

  it('one confirmed round answers all older requests', () => {
    const cluster = new TestCluster([1, 2, 3]);
    cluster.elect(1);
    cluster.delivers = ({ type }) => type !== MessageType.Heartbeat;
    for (const text of ['r1', 'r2']) cluster.node(1).readIndex(bytesOf(text));
    cluster.settle();
    expect(readsOf(cluster, 1)).toEqual([]);
    cluster.heal();
    cluster.tick(1);
    expect(readsOf(cluster, 1).map(([text]) => text)).toEqual(['r1', 'r2']);
  });

  it('is answered at once by the only voter, and under a lease', () => {
    const alone = new TestCluster([1]);
    alone.elect(1);
    alone.isolate(1);
    alone.node(1).readIndex(bytesOf('r'));
    alone.settle();
    expect(readsOf(alone, 1)).toHaveLength(1);
    const leased = new TestCluster([1, 2, 3], { checkQuorum: true, readOnlyOption: 'lease-based' });
    leased.elect(1);
    leased.isolate(1);
    leased.node(1).readIndex(bytesOf('r'));
    leased.settle();
    expect(readsOf(leased, 1)).toHaveLength(1);
  });

  it('is dropped where no leader is known', () => {
    const cluster = new TestCluster([1, 2, 3]);
    cluster.node(1).readIndex(bytesOf('r'));
    expect(cluster.node(1).hasReady()).toBe(false);
  });
});
