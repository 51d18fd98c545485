/**
 * Whole gateways between two clusters in memory, on a clock that the test moves: tables found,
 * shared, moved and recovered.
 */
import { Lifecycle, SILENT_LOGGER } from '@flotilla/platform';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeCopy, FakeLeader, FakeOwn, statusError } from '../../test/support/fake-clusters.js';
import { FakeShadows } from '../../test/support/fake-shadows.js';
import { ManualClock } from '../../test/support/manual-clock.js';
import { PullerGroup } from './puller-group.js';
import { PullerMetrics } from './puller-metrics.js';

const SETTINGS = {
  pollIntervalMs: 1_000,
  reconcileIntervalMs: 500,
  leaseIntervalMs: 1_000,
  recoveriesInFlightMax: 1,
  snapshotReceiveBytesPerSecondMax: 0,
};

class RunningGateway {
  readonly registry = new Registry();
  readonly group: PullerGroup;
  private readonly lifecycle = new Lifecycle();
  /** What this gateway alone sees of its cluster. */
  isCutOff = false;

  constructor(readonly name: string) {
    this.group = new PullerGroup({
      gateway: name,
      leader,
      own: this.seen(own),
      shadows: this.seen(shadows),
      clock,
      logger: SILENT_LOGGER,
      metrics: new PullerMetrics(this.registry),
      settings: SETTINGS,
    });
    this.group.addTo(this.lifecycle);
  }

  start(): Promise<void> {
    return this.lifecycle.start();
  }

  async stop(): Promise<void> {
    const stopped = this.lifecycle.stop('test');
    await clock.advance(1);
    await stopped;
  }

  async metric(name: string): Promise<string[]> {
    const text = await this.registry.getSingleMetricAsString(name);
    return text.split('\n').filter((line) => line.startsWith(name));
  }

  /** The cluster, unless the way to it is cut: one that is killed says nothing more either. */
  private seen<T extends object>(cluster: T): T {
    return new Proxy(cluster, {
      get: (target, key, receiver) => {
        if (this.isCutOff) return () => Promise.reject(statusError('UNAVAILABLE', 'cut off'));
        return Reflect.get(target, key, receiver) as unknown;
      },
    });
  }
}

let clock: ManualClock;
let leader: FakeLeader;
let own: FakeOwn;
let shadows: FakeShadows;
let gateways: RunningGateway[];

beforeEach(() => {
  clock = new ManualClock();
  leader = new FakeLeader();
  own = new FakeOwn(clock);
  shadows = new FakeShadows(own);
  gateways = [];
});

afterEach(async () => {
  for (const gateway of gateways) await gateway.stop();
});

async function start(name = 'a'): Promise<RunningGateway> {
  const gateway = new RunningGateway(name);
  gateways.push(gateway);
  await gateway.start();
  return gateway;
}

function write(table: string, count: number): void {
  const { writes } = leader.table(table);
  for (let nth = 0; nth < count; nth++) {
    const at = writes.length;
    writes.push([`key ${at % 7}`, at % 5 === 4 ? undefined : `value ${at} of ${table}`]);
  }
}

function expectSame(table: string): FakeCopy {
  const copy = own.copy(table);
  expect(copy.index).toBe(leader.table(table).lastIndex);
  expect(copy.content).toEqual(leader.table(table).content());
  return copy;
}

function holders(): string[] {
  return [...own.tables.keys()].map((table) => own.holderOf(table));
}

describe('a gateway of a follower cluster', () => {
  it('has the first data at once, and that of a table created later after a moment', async () => {
    write('first', 10);
    await start();
    await clock.advance(100);
    expectSame('first');
    write('second', 10);
    await clock.advance(600);
    expectSame('second');
  });

  it('deletes nothing because an answer was empty, or lacked a name (defect B10)', async () => {
    write('first', 10);
    const gateway = await start();
    await clock.advance(1_000);
    leader.logs.clear();
    await clock.advance(20_000);
    expect(own.copy('first').index).toBe(10);
    expect(own.calls).not.toContain('delete');
    expect(await gateway.metric('flotilla_replication_unlisted_copies')).toEqual([
      'flotilla_replication_unlisted_copies 1',
    ]);
    expect(await gateway.metric('flotilla_puller_state')).toEqual([
      'flotilla_puller_state{table="first",state="missing-in-leader"} 1',
    ]);
  });

  it('leaves a local table alone that has the name of one of the leader cluster', async () => {
    own.local('first');
    write('first', 10);
    const gateway = await start();
    await clock.advance(5_000);
    expect(own.copy('first')).toMatchObject({ index: 0, lease: undefined, source: undefined });
    expect(await gateway.metric('flotilla_replication_name_conflicts')).toEqual([
      'flotilla_replication_name_conflicts 1',
    ]);
  });

  it('ends its session when it stops, so that others go on at once', async () => {
    write('first', 3);
    const gateway = await start();
    await clock.advance(1_000);
    expect(holders()).toEqual(['a']);
    await gateway.stop();
    expect(own.copy('first').lease).toMatchObject({ holder: 'a', token: 1 });
    expect([own.holderOf('first'), own.sessions.size]).toEqual(['', 0]);
  });

  it('shares tables with others, and goes on with those of one that died within five seconds', async () => {
    for (let nth = 0; nth < 6; nth++) write(`t${nth}`, 10);
    await start('a');
    const other = await start('b');
    await clock.advance(45_000);
    expect(holders().sort()).toEqual(['a', 'a', 'a', 'b', 'b', 'b']);
    other.isCutOff = true;
    for (let nth = 0; nth < 6; nth++) write(`t${nth}`, 10);
    await clock.advance(5_000);
    expect(holders()).toEqual(Array.from({ length: 6 }, () => 'a'));
    for (let nth = 0; nth < 6; nth++) expectSame(`t${nth}`);
  });

  it('that was cut off writes nothing any more once another one has its tables', async () => {
    write('first', 10);
    const cut = await start('a');
    await clock.advance(1_000);
    cut.isCutOff = true;
    await start('b');
    await clock.advance(6_000);
    expect(holders()).toEqual(['b']);
    expect(await cut.metric('regatta_replication_leased')).toEqual([]);
    cut.isCutOff = false;
    write('first', 10);
    await clock.advance(3_000);
    const { applied } = expectSame('first');
    expect(applied).toEqual(Array.from({ length: 20 }, (_, at) => at + 1));
    expect(holders()).toEqual(['b']);
  });

  it('is heard to hear of both clusters, and of one that is silent no more', async () => {
    const gateway = await start();
    await clock.advance(1_000);
    const { group } = gateway;
    expect([group.hearsOwnCluster, group.hearsLeaderCluster]).toEqual([true, true]);
    gateway.isCutOff = true;
    leader.failures = Array.from({ length: 1_000 }, () => statusError('UNAVAILABLE'));
    await clock.advance(20_000);
    expect([group.hearsOwnCluster, group.hearsLeaderCluster]).toEqual([false, false]);
  });

  it('reports where the leader cluster stands', async () => {
    write('first', 10);
    await start();
    await clock.advance(1_000);
    const told = own.reports.flatMap(({ positions }) => positions);
    expect(
      told.map(({ copyId, leaderIndex, clockMs }) => ({ copyId, leaderIndex, clockMs })),
    ).toContainEqual({
      copyId: own.copy('first').id,
      leaderIndex: 10,
      clockMs: expect.any(Number) as number,
    });
  });
});

describe('a copy whose position is gone from the log', () => {
  function cutLog(): void {
    write('first', 30);
    leader.table('first').firstIndex = 25;
  }

  it('is made anew from a snapshot beside it, and goes on from its index', async () => {
    cutLog();
    const gateway = await start();
    await clock.advance(3_000);
    const { lease, applied } = expectSame('first');
    expect(lease?.holder).toBe('a');
    write('first', 5);
    await clock.advance(1_000);
    expectSame('first');
    expect(applied.slice(-5)).toEqual([31, 32, 33, 34, 35]);
    expect(await gateway.metric('flotilla_puller_snapshots_total')).toEqual([
      'flotilla_puller_snapshots_total{table="first",outcome="done"} 1',
    ]);
  });

  it('is served as it was until the new one is complete', async () => {
    write('first', 10);
    await start();
    await clock.advance(1_000);
    const { id } = own.copy('first');
    write('first', 30);
    leader.table('first').firstIndex = 35;
    leader.snapshotPieceBytes = 50;
    let goOn = (): void => undefined;
    leader.beforePiece = (nth) =>
      nth === 2 ? new Promise<void>((resolve) => (goOn = resolve)) : undefined;
    await clock.advance(5_000);
    expect(shadows.byName.get('first')).toBeDefined();
    expect(own.copy('first')).toMatchObject({ id, index: 10 });
    expect(own.copy('first').content).toEqual(leader.table('first').content(10));
    goOn();
    await clock.advance(5_000);
    expect(expectSame('first').id).not.toBe(id);
  });

  it('begins anew with another shadow when its snapshot breaks', async () => {
    cutLog();
    leader.snapshotPieceBytes = 50;
    let breaks = 2;
    leader.beforePiece = (nth) => {
      if (nth === 2 && breaks-- > 0) throw statusError('UNAVAILABLE', 'the node is gone');
    };
    await start();
    await clock.advance(20_000);
    expectSame('first');
    expect(shadows.byName.size).toBe(0);
  });

  it('is given back by a gateway that stops, and made anew by the next one', async () => {
    cutLog();
    leader.beforePiece = () => new Promise<void>(() => undefined);
    const gateway = await start('a');
    await clock.advance(2_000);
    expect(await gateway.metric('flotilla_puller_state')).toEqual([
      'flotilla_puller_state{table="first",state="recovering"} 1',
    ]);
    await gateway.stop();
    expect(holders()).toEqual(['']);
    leader.beforePiece = () => undefined;
    await start('b');
    await clock.advance(10_000);
    expectSame('first');
    expect(holders()).toEqual(['b']);
  });

  it('waits for its turn: no more than so many at a time', async () => {
    for (const table of ['t1', 't2', 't3']) {
      write(table, 30);
      leader.table(table).firstIndex = 25;
    }
    let open = 0;
    let most = 0;
    const pairs = leader.pairs.bind(leader);
    leader.pairs = async function* (name, signal) {
      most = Math.max(most, ++open);
      for await (const piece of pairs(name, signal)) {
        await clock.sleep(100);
        yield piece;
      }
      open--;
    };
    await start();
    await clock.advance(20_000);
    expect(most).toBe(1);
    for (const table of ['t1', 't2', 't3']) expectSame(table);
  });
});
