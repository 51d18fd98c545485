/**
 * Gateways that follow a leader cluster by its stream: tables as they come and go, logs, streams that
 * break, leader clusters that must not be followed, and those that only serve polls.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { statusError } from '../../../test/support/fake-clusters.js';
import { LINK_HEARTBEAT_MS } from '../../../test/support/fake-link.js';
import { LinkWorld } from '../../../test/support/link-world.js';
import { BATCH_BYTES_MAX } from '../entry-batch.js';
import { type Batch } from '../ports.js';
import { MemoryGenerations } from './generations.js';

let world: LinkWorld;

beforeEach(() => {
  world = new LinkWorld();
});

afterEach(() => world.close());

function rememberedAs(number: number, clusterId: string): MemoryGenerations {
  const generations = new MemoryGenerations();
  void generations.remember({ number, clusterId });
  return generations;
}

describe('a gateway that follows by the stream', () => {
  it('has tables and entries as they are told, without a poll', async () => {
    world.link.create('first');
    world.write('first', 10);
    const gateway = await world.start();
    await world.clock.advance(1_500);
    expect(world.isSame('first')).toBe(true);
    expect(world.copy('first').source).toEqual({ tableId: 101, epoch: 1 });
    world.write('first', 5);
    await world.clock.advance(50);
    expect(world.isSame('first')).toBe(true);
    expect(world.copy('first').applied).toEqual(Array.from({ length: 15 }, (_, at) => at + 1));
    expect(world.leader.polls).toEqual([]);
    expect(await gateway.metric('flotilla_link_state')).toContain(
      'flotilla_link_state{state="attached"} 1',
    );
  });

  it('has one stream for all tables', async () => {
    for (const table of ['t1', 't2', 't3']) {
      world.link.create(table);
      world.write(table, 10);
    }
    await world.start();
    await world.clock.advance(2_000);
    expect(['t1', 't2', 't3'].map((table) => world.isSame(table))).toEqual([true, true, true]);
    expect(world.link.streams).toHaveLength(1);
  });

  it('has a table at once that is made while it follows', async () => {
    await world.start();
    await world.clock.advance(1_000);
    world.link.create('later');
    world.write('later', 4);
    await world.clock.advance(100);
    expect(world.isSame('later')).toBe(true);
  });

  it('deletes a copy when its table was deleted, within a second', async () => {
    world.link.create('first');
    world.write('first', 4);
    await world.start();
    await world.clock.advance(1_500);
    world.link.delete('first');
    await world.clock.advance(900);
    expect(world.own.tables.has('first')).toBe(false);
  });

  it('makes a copy anew at once when its table was made anew under its name', async () => {
    world.link.create('first');
    world.write('first', 20);
    await world.start();
    await world.clock.advance(1_500);
    const before = world.copy('first').id;
    const { id } = world.link.create('first');
    world.write('first', 3);
    await world.clock.advance(900);
    expect(world.isSame('first')).toBe(true);
    expect(world.copy('first')).toMatchObject({ source: { tableId: id } });
    expect(world.copy('first').id).not.toBe(before);
    world.write('first', 30);
    await world.clock.advance(100);
    expect(world.isSame('first')).toBe(true);
  });

  it('leaves a local table alone that has the name of a table there', async () => {
    world.own.local('first');
    world.link.create('first');
    world.write('first', 4);
    await world.start();
    await world.clock.advance(5_000);
    world.link.create('first');
    await world.clock.advance(5_000);
    world.link.delete('first');
    await world.clock.advance(5_000);
    expect(world.copy('first')).toMatchObject({ index: 0, source: undefined });
  });

  it('tells where the leader cluster stands by its clock, though nothing happens', async () => {
    world.link.create('first');
    world.write('first', 10);
    await world.start();
    await world.clock.advance(5_000);
    world.own.reports.length = 0;
    await world.clock.advance(1_000);
    const last = world.own.reports.at(-1);
    // By one number for all tables: nothing is said of any of them.
    expect(last).toMatchObject({ positions: [], moved: [], left: [] });
    // The clock of the leader cluster is five seconds ahead.
    expect(last?.clockMs).toBeGreaterThan(world.clock.wallMs() + 4_000);
  });
});

describe('a stream', () => {
  beforeEach(async () => {
    world.link.create('first');
    world.write('first', 10);
    await world.start('a', { clients: [world.link.client('a'), world.link.client('b')] });
    await world.clock.advance(1_500);
  });

  it('that broke is made again at the next address, from where each copy stands', async () => {
    world.link.cut();
    world.write('first', 10);
    await world.clock.advance(2_000);
    expect(world.link.attaches.map(({ address }) => address)).toEqual(['a', 'b']);
    expect(world.isSame('first')).toBe(true);
    expect(world.copy('first').applied).toEqual(Array.from({ length: 20 }, (_, at) => at + 1));
  });

  it('on which nothing comes for three heartbeats is dead, though its connection is up', async () => {
    world.link.isSilent = true;
    await world.clock.advance(LINK_HEARTBEAT_MS * 2);
    expect(world.link.attaches).toHaveLength(1);
    await world.clock.advance(LINK_HEARTBEAT_MS * 4);
    expect(world.link.streams[0]?.isOver).toBe(true);
    world.link.isSilent = false;
    world.write('first', 10);
    await world.clock.advance(8_000);
    expect(world.isSame('first')).toBe(true);
  });

  it('that cannot be made is tried again less and less often', async () => {
    world.link.refusal = statusError('UNAVAILABLE');
    world.link.cut();
    await world.clock.advance(60_000);
    expect(world.link.attaches.length).toBeGreaterThan(10);
    expect(world.link.attaches.length).toBeLessThan(25);
    expect(world.leader.polls).toEqual([]);
  });

  it('with an empty first view deletes nothing, nor does one that lacks a name', async () => {
    const table = world.leader.table('first');
    world.leader.logs.delete('first');
    world.link.cut();
    await world.clock.advance(10_000);
    expect(world.link.attaches.length).toBeGreaterThan(1);
    expect(world.copy('first').index).toBe(10);
    world.link.clusterId = 'another-cluster';
    world.link.generation = 2;
    world.link.create('other');
    world.link.cut();
    await world.clock.advance(10_000);
    expect(world.own.tables.has('other')).toBe(true);
    expect(world.copy('first').index).toBe(10);
    expect(world.own.calls).not.toContain('delete');
    expect(table.lastIndex).toBe(10);
  });

  it('whose view lacks a table and has a younger one says that it was deleted meanwhile', async () => {
    world.leader.logs.delete('first');
    world.link.cut();
    world.link.create('younger');
    await world.clock.advance(5_000);
    expect([...world.own.tables.keys()]).toEqual(['younger']);
  });
});

describe('a leader cluster that was replaced', () => {
  it('is not followed, and nothing of it is applied; the next one is', async () => {
    world.link.create('first');
    world.write('first', 10);
    world.link.generation = 3;
    const generations = rememberedAs(4, 'promoted');
    const gateway = await world.start('a', { generations });
    await world.clock.advance(20_000);
    expect(await gateway.metric('flotilla_link_state')).toContain(
      'flotilla_link_state{state="refused"} 1',
    );
    expect(world.own.tables.size).toBe(0);
    expect(world.leader.polls).toEqual([]);
    world.link.generation = 5;
    await world.clock.advance(20_000);
    expect(world.isSame('first')).toBe(true);
    expect(await generations.highest()).toEqual({ number: 5, clusterId: 'leader-cluster' });
  });

  it('that refuses by itself is told the highest generation, and not polled instead', async () => {
    world.link.create('first');
    world.link.refusal = statusError('FAILED_PRECONDITION', 'it was replaced');
    const gateway = await world.start('a', { generations: rememberedAs(4, 'promoted') });
    await world.clock.advance(15_000);
    expect(world.link.attaches[0]?.hello).toMatchObject({
      generation: 4n,
      leaderClusterId: 'promoted',
      clusterId: 'follower-cluster',
      gateway: 'a',
    });
    expect(gateway.link.state).toBe('refused');
    expect(world.own.tables.size).toBe(0);
    expect(world.leader.polls).toEqual([]);
  });

  it('by another one of the same generation is no leader cluster of this one', async () => {
    world.link.create('first');
    const gateway = await world.start('a', { generations: rememberedAs(1, 'the real one') });
    await world.clock.advance(5_000);
    expect(gateway.link.state).toBe('refused');
    expect(world.own.tables.size).toBe(0);
  });
});

describe('a leader cluster that does not serve the stream', () => {
  beforeEach(() => {
    world.link.refusal = statusError('UNIMPLEMENTED');
    world.link.create('first');
    world.write('first', 10);
  });

  it('is polled, and asked again every minute', async () => {
    const gateway = await world.start();
    await world.clock.advance(3_000);
    expect(world.copy('first').content).toEqual(world.leader.table('first').content());
    expect(world.copy('first').source).toEqual({ tableId: 0, epoch: 1 });
    expect(gateway.link.state).toBe('unserved');
    await world.clock.advance(50_000);
    expect(world.link.attaches).toHaveLength(1);
    world.link.refusal = undefined;
    await world.clock.advance(15_000);
    expect(gateway.link.state).toBe('attached');
    expect(world.isSame('first')).toBe(true);
    expect(world.copy('first').source).toEqual({ tableId: 101, epoch: 1 });
  });

  it('at one address is followed by the stream at another one', async () => {
    const old = world.link.client('old');
    const young = { ...world.link.client('young') };
    young.bidi = (...args) => {
      world.link.refusal = undefined;
      return world.link.client('young').bidi(...args);
    };
    const gateway = await world.start('a', { clients: [old, young] });
    await world.clock.advance(5_000);
    expect(gateway.link.state).toBe('attached');
    expect(world.isSame('first')).toBe(true);
  });
});

describe('credit', () => {
  const CREDIT_BYTES = 2_000;

  it('bounds what is in memory, whatever the leader cluster has', async () => {
    for (const table of ['t1', 't2', 't3']) {
      world.link.create(table);
      world.write(table, 300);
    }
    const gateway = await world.start('a', { creditBytes: CREDIT_BYTES });
    let most = 0;
    world.own.around = async (method, deed) => {
      most = Math.max(most, gateway.link.heldBytes);
      if (method === 'apply') await world.clock.sleep(5);
      return deed();
    };
    await world.clock.advance(20_000);
    expect(['t1', 't2', 't3'].map((table) => world.isSame(table))).toEqual([true, true, true]);
    expect(most).toBeGreaterThan(CREDIT_BYTES / 2);
    expect(most).toBeLessThanOrEqual(CREDIT_BYTES);
  });

  it('is left to others by a table whose copy takes nothing, which is asked for again later', async () => {
    for (const table of ['stuck', 'other']) world.link.create(table);
    world.link.entriesPerMessage = 1;
    await world.start('a', { creditBytes: 4 * BATCH_BYTES_MAX });
    await world.clock.advance(1_500);
    let goOn = (): void => undefined;
    const waiting = new Promise<void>((resolve) => (goOn = resolve));
    world.own.around = async (method, deed, batch) => {
      if (method === 'apply' && (batch as Batch).copy.table === 'stuck') await waiting;
      return deed();
    };
    for (let nth = 0; nth < 60; nth++) {
      world.leader.table('stuck').writes.push([`key ${nth}`, 'v'.repeat(100_000)]);
    }
    world.link.poke();
    await world.clock.advance(100);
    world.leader.table('other').writes.push(['key', 'v'.repeat(200_000)]);
    world.link.poke();
    await world.clock.advance(500);
    expect(world.isSame('other')).toBe(false);
    await world.clock.advance(2_000);
    expect(world.isSame('other')).toBe(true);
    goOn();
    await world.clock.advance(20_000);
    expect(world.isSame('stuck')).toBe(true);
  });

  it('comes back when a batch is applied, and when a table is given up: none is ever lost', async () => {
    world.link.create('first');
    const gateway = await world.start('a', { creditBytes: CREDIT_BYTES });
    await world.clock.advance(1_500);
    let nth = 0;
    world.own.around = (method, deed) => {
      if (method === 'apply' && ++nth % 3 === 0) throw statusError('UNAVAILABLE', 'lost');
      return deed();
    };
    for (let round = 0; round < 20; round++) {
      world.write('first', 20);
      await world.clock.advance(3_000);
    }
    world.own.around = (_, deed) => deed();
    await world.clock.advance(10_000);
    expect(world.isSame('first')).toBe(true);
    expect(gateway.link.heldBytes).toBe(0);
    const [stream] = world.link.open;
    const owed = (stream?.sentBytes ?? 0) - (stream?.creditedBytes ?? 0);
    // What is not worth a message yet is all that is not back.
    expect(owed).toBeLessThanOrEqual(CREDIT_BYTES / 16);
  });
});
