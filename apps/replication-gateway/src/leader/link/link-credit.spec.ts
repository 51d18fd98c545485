/**
 * What an attached gateway is sent of its tables when it has little room: credit, turns, and what lies in memory
 * for it meanwhile.
 */
import { describe, expect, it } from 'vitest';
import { Attached, AttachTo, HEARTBEAT_MS } from '../../../test/support/attached.js';
import { FollowedCluster } from '../../../test/support/followed-logs.js';
import {
  FEED_CHUNK_BYTES_MAX,
  GATEWAY_PLACES_MAX,
  PLACE_TURN_BYTES_MAX,
  STREAM_PLACES_MAX,
  SUBSCRIPTION_BYTES_MAX,
} from './link-limits.js';

const KIB = 1024;
const upTo = (last: number) => Array.from({ length: last }, (_, at) => at + 1);
const PLACE_BYTES = SUBSCRIPTION_BYTES_MAX + FEED_CHUNK_BYTES_MAX;

/** Tables 1, 2, ... with so many commands of so many bytes each. */
function linked(tables: number, commands: number, bytes: number) {
  const cluster = new FollowedCluster();
  const command = Buffer.alloc(bytes, 1);
  for (const id of upTo(tables)) {
    cluster.create(id).append(...upTo(commands).map(() => command));
  }
  return { cluster, link: new AttachTo(cluster) };
}

function subscribeAll(attached: Attached, tables: number): Attached {
  for (const id of upTo(tables)) attached.subscribe(id, id);
  return attached;
}

/** Waits for everything that goes on without more credit. */
async function quiet(link: AttachTo, attached: Attached): Promise<void> {
  for (let before = -1; before !== attached.messages.length;) {
    before = attached.messages.length;
    await link.clock.settle();
  }
}

describe('credit', () => {
  it('is never exceeded but by the last command, and nothing is sent without it', async () => {
    const { link } = linked(3, 100, 1_000);
    const attached = subscribeAll(await link.attach({ creditBytes: 0n }), 3);
    await quiet(link, attached);
    expect(attached.commandBytes).toBe(0);
    let granted = 0;
    for (const bytes of [1, 999, 1_500, 10_000, 1, 70_123]) {
      attached.credit(bytes);
      granted += bytes;
      await quiet(link, attached);
      expect(attached.commandBytes).toBeGreaterThanOrEqual(granted);
      expect(attached.commandBytes).toBeLessThan(granted + 1_000);
    }
  });

  it('that is left over goes on, until everything was sent once and in order', async () => {
    const { link } = linked(3, 100, 1_000);
    const attached = subscribeAll(await link.attach({ creditBytes: 10n }), 3);
    while (attached.commandBytes < 300_000) {
      const before = attached.commandBytes;
      attached.credit(7_777);
      await quiet(link, attached);
      expect(attached.commandBytes).toBeGreaterThan(before);
    }
    for (const id of upTo(3)) expect(attached.indexes(id)).toEqual(upTo(100));
  });

  it('does not keep heartbeats, ends and tables waiting', async () => {
    const { link, cluster } = linked(2, 10, 1_000);
    const attached = subscribeAll(await link.attach({ creditBytes: 0n }), 2);
    await quiet(link, attached);
    cluster.create(9);
    attached.subscribe(8, 1, 99);
    await link.clock.advance(HEARTBEAT_MS);
    const kinds = attached.messages.slice(2).map(({ $case }) => $case);
    expect(kinds.sort()).toEqual(['end', 'heartbeat', 'tables']);
  });
});

describe('turns', () => {
  it('are taken by all tables: one with much to send does not keep others waiting', async () => {
    const { link, cluster } = linked(1, 4_000, 10 * KIB);
    cluster.create(2).append(Buffer.alloc(100));
    cluster.create(3).append(Buffer.alloc(100));
    const attached = subscribeAll(await link.attach({ creditBytes: 0n }), 3);
    await quiet(link, attached);
    attached.credit(600 * KIB);
    await quiet(link, attached);
    expect([attached.indexes(2), attached.indexes(3)]).toEqual([[1], [1]]);
    expect(attached.indexes(1).length).toBeGreaterThan(40);
  });

  it('come to every table, also where more have much to send than there are places', async () => {
    const tables = 2 * STREAM_PLACES_MAX;
    const { link } = linked(tables, 600, 10 * KIB);
    const attached = subscribeAll(await link.attach({ creditBytes: 0n }), tables);
    const first = (tables * 2 * PLACE_TURN_BYTES_MAX) / 3;
    attached.credit(Math.floor(first));
    await quiet(link, attached);
    const got = upTo(tables).map((id) => attached.indexes(id).length);
    expect(Math.min(...got)).toBeGreaterThan(0);
    for (const id of upTo(tables)) {
      expect(attached.indexes(id)).toEqual(upTo(attached.indexes(id).length));
    }
  });
});

describe('memory', () => {
  it('of a stream whose reader gives no credit is bounded, however many tables it follows', async () => {
    const tables = 4 * STREAM_PLACES_MAX;
    const { link, cluster } = linked(tables, 30, 40 * KIB);
    const attached = subscribeAll(await link.attach({ creditBytes: 0n }), tables);
    await quiet(link, attached);
    for (const log of cluster.logs.values()) log.append(Buffer.alloc(20 * KIB));
    await quiet(link, attached);
    expect(link.service.heldBytes).toBeGreaterThan(0);
    expect(link.service.heldBytes).toBeLessThanOrEqual(STREAM_PLACES_MAX * PLACE_BYTES);
    // Logs of those without a place are not kept open: what a node sends ahead lies in memory too.
    const open = [...cluster.logs.values()].filter(({ readers }) => readers > 0);
    expect(open.length).toBeLessThanOrEqual(STREAM_PLACES_MAX);
    attached.credit(10 ** 9);
    await quiet(link, attached);
    for (const id of upTo(tables)) expect(attached.indexes(id)).toEqual(upTo(31));
    expect(link.service.heldBytes).toBe(0);
  });

  it('of a gateway is bounded, and every stream gets on even so', async () => {
    const streams = GATEWAY_PLACES_MAX / STREAM_PLACES_MAX + 3;
    const tables = STREAM_PLACES_MAX + 1;
    const { link, cluster } = linked(tables, 20, 64 * KIB);
    const stuck: Attached[] = [];
    for (const nth of upTo(streams)) {
      const clusterId = `follower-${nth}`;
      stuck.push(subscribeAll(await link.attach({ creditBytes: 0n, clusterId }), tables));
      await link.clock.settle();
    }
    await link.clock.settle();
    const places = GATEWAY_PLACES_MAX + streams;
    expect(link.service.heldBytes).toBeLessThanOrEqual(places * PLACE_BYTES);
    const open = [...cluster.logs.values()].reduce((sum, { readers }) => sum + readers, 0);
    expect(open).toBeGreaterThanOrEqual(GATEWAY_PLACES_MAX);
    expect(open).toBeLessThanOrEqual(places);
    const last = stuck.at(-1);
    if (!last) throw new Error('nobody is attached');
    last.credit(10 ** 9);
    await quiet(link, last);
    for (const id of upTo(tables)) expect(last.indexes(id)).toEqual(upTo(20));
    for (const each of stuck) each.cancel();
    await Promise.all(stuck.map(({ ended }) => ended));
    expect(link.service.heldBytes).toBe(0);
    // Places were given back: a new one gets on as if nothing had been.
    const next = subscribeAll(await link.attach(), tables);
    await quiet(link, next);
    expect(next.commandBytes).toBe(tables * 20 * 64 * KIB);
  });

  it('is not taken by a reader that is behind: its logs are not read on', async () => {
    const { link, cluster } = linked(1, 10_000, 1_000);
    const attached = await link.attach();
    const release = attached.hold();
    attached.subscribe(1, 1);
    await quiet(link, attached);
    const log = cluster.logs.get(1);
    expect(link.service.heldBytes).toBeLessThanOrEqual(PLACE_BYTES);
    expect(log?.chunks).toBeLessThanOrEqual(4);
    release();
    await quiet(link, attached);
    expect(attached.indexes(1)).toEqual(upTo(10_000));
    expect(log?.openedFrom).toEqual([1]);
  });

  it('holds a command that is larger than everything else, alone', async () => {
    const { link, cluster } = linked(1, 1, 10);
    const log = cluster.logs.get(1);
    log?.append(Buffer.alloc(3 * 1024 * KIB, 1), Buffer.alloc(10));
    const attached = (await link.attach({ creditBytes: 1n })).subscribe(1, 1);
    await quiet(link, attached);
    expect(attached.indexes(1)).toEqual([1]);
    attached.credit(10);
    await quiet(link, attached);
    expect(attached.of('entries').map(({ entries }) => entries.length)).toEqual([1, 1]);
    attached.credit(4 * 1024 * KIB);
    await quiet(link, attached);
    expect(attached.indexes(1)).toEqual([1, 2, 3]);
  });
});
