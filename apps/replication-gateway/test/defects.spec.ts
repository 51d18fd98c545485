/**
 * Defects of Regatta and Armada, by the numbers of their contract, in a gateway that pulls: what they
 * would do to a copy. The two clusters are in memory, the clock is moved by the test.
 */
import { Lifecycle, SILENT_LOGGER } from '@flotilla/platform';
import { mvccV1 } from '@flotilla/proto';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Batch } from '../src/follower/ports.js';
import { PullerGroup } from '../src/follower/puller-group.js';
import { PullerMetrics } from '../src/follower/puller-metrics.js';
import { FakeLeader, FakeOwn, statusError } from './support/fake-clusters.js';
import { FakeShadows } from './support/fake-shadows.js';
import { ManualClock } from './support/manual-clock.js';

const SETTINGS = {
  pollIntervalMs: 1_000,
  reconcileIntervalMs: 500,
  leaseIntervalMs: 1_000,
  recoveriesInFlightMax: 1,
  snapshotReceiveBytesPerSecondMax: 0,
};

let clock: ManualClock;
let leader: FakeLeader;
let own: FakeOwn;
let shadows: FakeShadows;
let running: Lifecycle[];

beforeEach(() => {
  clock = new ManualClock();
  leader = new FakeLeader();
  own = new FakeOwn(clock);
  shadows = new FakeShadows(own);
  running = [];
});

afterEach(async () => {
  for (const lifecycle of running) {
    const stopped = lifecycle.stop('test');
    await clock.advance(1);
    await stopped;
  }
});

/** Gives what its metrics say. `cut` takes the cluster away from it, as a kill does. */
async function start(gateway: string): Promise<{
  readonly metric: (name: string) => Promise<string[]>;
  readonly cut: () => void;
}> {
  let isCut = false;
  const seen = new Proxy(own, {
    get: (target, key, receiver) =>
      isCut
        ? () => Promise.reject(statusError('UNAVAILABLE'))
        : (Reflect.get(target, key, receiver) as unknown),
  });
  const registry = new Registry();
  const metrics = new PullerMetrics(registry);
  const clusters = { leader, own: seen, shadows };
  const parts = { ...clusters, clock, logger: SILENT_LOGGER, metrics, settings: SETTINGS };
  const lifecycle = new Lifecycle();
  new PullerGroup({ gateway, ...parts }).addTo(lifecycle);
  running.push(lifecycle);
  await lifecycle.start();
  return {
    metric: async (name) => {
      const lines = (await registry.getSingleMetricAsString(name)).split('\n');
      return lines.filter((line) => line.startsWith(name));
    },
    cut: () => void (isCut = true),
  };
}

function write(table: string, count: number, valueBytes = 10): void {
  const { writes } = leader.table(table);
  for (let nth = 0; nth < count; nth++) {
    const at = writes.length;
    writes.push([`key ${at}`, String(at).padEnd(valueBytes, '.')]);
  }
}

function expectSame(table: string): void {
  const copy = own.copy(table);
  expect(copy.index).toBe(leader.table(table).lastIndex);
  expect([...copy.content].sort()).toEqual([...leader.table(table).content()].sort());
}

const indexOf = (command: Buffer): number => Number(mvccV1.Command.decode(command).leaderIndex);
const rangeTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1);

describe('a copy that is filled from a snapshot', () => {
  async function recovered(count: number, valueBytes: number): Promise<void> {
    write('first', count, valueBytes);
    leader.table('first').firstIndex = count;
    leader.snapshotPieceBytes = 100_000;
    await start('a');
    await clock.advance(20_000);
  }

  it('B1: lacks no pair at the boundary of a batch, however large the table is', async () => {
    await recovered(1_300, 10_000);
    const batches = own.calls.filter((call) => call === 'fill').length;
    expect(batches).toBeGreaterThan(10);
    expectSame('first');
  });

  it('B2: has no row under an empty key where the closing record was', async () => {
    await recovered(10, 10);
    expect(own.copy('first').content.has('')).toBe(false);
    expectSame('first');
  });
});

describe('a copy that is pulled', () => {
  it('B5: applies no command twice, although the leader cluster sends some of them again', async () => {
    write('first', 9);
    let repeats = 2;
    const poll = leader.poll.bind(leader);
    leader.poll = async function* (name, from, signal) {
      for await (const message of poll(name, from, signal)) {
        yield message;
        if (message.kind === 'commands' && repeats-- > 0) yield message;
      }
    };
    const sent: number[] = [];
    own.around = (method, deed, argument) => {
      const { commands = [] } = (argument ?? {}) as Partial<Batch>;
      if (method === 'apply') sent.push(...commands.map(indexOf));
      return deed();
    };
    await start('a');
    await clock.advance(10_000);
    expect(repeats).toBeLessThanOrEqual(0);
    expectSame('first');
    // The copy would leave a second one out: it is not to be sent one.
    expect(sent).toEqual(rangeTo(9));
  });

  it('B8: of a table that is created has its data within a second, not within half a minute', async () => {
    write('first', 3);
    await start('a');
    await clock.advance(5_000);
    write('second', 3);
    await clock.advance(1_000);
    expectSame('second');
  });

  it('B9: is there although names before it are refused here, which are told, and tried again', async () => {
    const isRefused = (method: string, name: unknown) =>
      method === 'create' && (name === 'a/b' || name === 'c/d');
    own.around = (method, deed, argument) => {
      if (isRefused(method, argument)) throw statusError('INVALID_ARGUMENT', 'table is invalid');
      return deed();
    };
    for (const name of ['a/b', 'first', 'c/d', 'second']) write(name, 3);
    const { metric } = await start('a');
    await clock.advance(3_000);
    for (const name of ['first', 'second']) expectSame(name);
    const refused = 'flotilla_replication_refused_tables';
    expect(await metric(refused)).toEqual([`${refused} 2`]);
    own.around = (_, deed) => deed();
    await clock.advance(3_000);
    for (const name of ['a/b', 'c/d']) expectSame(name);
    expect(await metric(refused)).toEqual([`${refused} 0`]);
  });

  it('B16: that gets no final message is told as not being pulled, and keeps what it got', async () => {
    write('first', 9);
    leader.twist = (message) => (message.kind === 'final' ? undefined : message);
    const { metric } = await start('a');
    await clock.advance(5_000);
    expect(own.copy('first').applied).toEqual(rangeTo(9));
    expect(await metric('flotilla_puller_state')).toEqual([
      'flotilla_puller_state{table="first",state="failing"} 1',
    ]);
    const [errors = ''] = await metric('flotilla_puller_errors_total');
    expect(errors).toContain('kind="log-garbled"');
  });

  it('B24: has each command under its own index, though many are applied at once', async () => {
    write('first', 9);
    leader.entriesPerMessage = 9;
    const told: number[][] = [];
    own.around = (method, deed) => {
      const before = method === 'apply' ? own.copy('first').applied.length : 0;
      const answer = deed();
      if (method === 'apply') told.push(own.copy('first').applied.slice(before));
      return answer;
    };
    await start('a');
    await clock.advance(1_000);
    expect(told.filter((indexes) => indexes.length > 0)).toEqual([rangeTo(9)]);
  });
});

describe('gateways that share the tables', () => {
  it('B7: are not slowed down by one that died', async () => {
    for (const table of ['t0', 't1', 't2', 't3']) write(table, 3);
    await start('a');
    const other = await start('b');
    await clock.advance(45_000);
    const held = () => [...own.tables].filter(([table]) => own.holderOf(table) === 'a');
    expect(held()).toHaveLength(2);
    other.cut();
    // Its leases still run: nobody has taken its tables yet.
    await clock.advance(1_000);
    const [[table = ''] = []] = held();
    write(table, 1);
    const isThere = () => own.copy(table).index === leader.table(table).lastIndex;
    for (let ms = 0; ms < SETTINGS.pollIntervalMs && !isThere(); ms += 10) await clock.advance(10);
    for (let nth = 0; nth < 5; nth++) {
      write(table, 1);
      await clock.advance(50);
      expectSame(table);
    }
  });
});

describe('what a gateway asks for again and again', () => {
  it('B29: is asked for until it is told, whatever went wrong before', async () => {
    const failures = [
      new Error('getaddrinfo ENOTFOUND leader'),
      statusError('UNAVAILABLE', 'Name resolution failed'),
      statusError('INTERNAL', 'garbled'),
      statusError('UNIMPLEMENTED', 'somebody else'),
      new TypeError('not even an answer'),
    ];
    leader.failures = [...failures];
    write('first', 3);
    await start('a');
    await clock.advance((failures.length + 2) * SETTINGS.reconcileIntervalMs);
    expect(leader.failures).toEqual([]);
    expectSame('first');
    let isFailing = true;
    own.around = (method, deed) => {
      if (isFailing && method === 'list') throw new Error('getaddrinfo ENOTFOUND node');
      return deed();
    };
    await clock.advance(20_000);
    isFailing = false;
    write('first', 3);
    write('second', 3);
    await clock.advance(5_000);
    expectSame('first');
    expectSame('second');
  });
});
