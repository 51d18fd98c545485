/**
 * What an attached gateway is told: who may attach, tables, entries, ends, heartbeats.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { linkV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { AttachTo, HEARTBEAT_MS } from '../../../test/support/attached.js';
import { FollowedCluster } from '../../../test/support/followed-logs.js';
import { READER_STALL_MS } from '../paced-sink.js';
import { HELLO_TIMEOUT_MS, LINK_STREAMS_MAX, VIEW_TABLES_MAX } from './link-limits.js';

const { COMPACTED, DIVERGED, FAILED, LEADER_BEHIND, OTHER_TABLE } = linkV1.SubscriptionEnd_Reason;
const upTo = (last: number) => Array.from({ length: last }, (_, at) => at + 1);
const command = (bytes = 10) => Buffer.alloc(bytes, 1);

function linked(...tables: number[]) {
  const cluster = new FollowedCluster();
  for (const id of tables) cluster.create(id);
  const log = (id: number) => {
    const found = cluster.logs.get(id);
    if (!found) throw new Error(`there is no log ${id}`);
    return found;
  };
  return { cluster, log, link: new AttachTo(cluster) };
}

describe('a gateway that attaches', () => {
  it('is welcomed first, then told all tables', async () => {
    const { link } = linked(7, 8);
    const { messages } = await link.attach();
    expect(messages[0]).toEqual({
      $case: 'welcome',
      value: { clusterId: 'leader', generation: 1n, heartbeatMs: BigInt(HEARTBEAT_MS) },
    });
    expect(messages[1]).toMatchObject({
      $case: 'tables',
      value: {
        begins: true,
        more: false,
        tables: [
          { id: 7n, name: 't7', epoch: 7n, replicas: [] },
          { id: 8n, name: 't8', epoch: 8n },
        ],
        clusterId: 'leader',
        generation: 1n,
        nodes: [],
      },
    });
    expect(messages).toHaveLength(2);
  });

  it('is refused by its own cluster, and by one that was replaced', async () => {
    const { link } = linked();
    const own = await link.attach({ clusterId: 'leader' });
    expect(own.outcome).toMatchObject({
      code: status.FAILED_PRECONDITION,
      message: 'a cluster must not follow itself',
    });
    const ahead = await link.attach({ generation: 2n });
    expect(ahead.outcome).toMatchObject({
      code: status.FAILED_PRECONDITION,
      message:
        'this leader cluster was replaced by a promotion: its generation is 1, and 2 was followed since',
    });
    const other = await link.attach({ generation: 1n, leaderClusterId: 'another' });
    expect(other.outcome).toMatchObject({ code: status.FAILED_PRECONDITION });
    const same = await link.attach({ generation: 1n, leaderClusterId: 'leader' });
    expect(same.outcome).toBeUndefined();
  });

  it('is refused with the name of the field that is wrong', async () => {
    const { link } = linked(7);
    const texts: [(attached: ReturnType<AttachTo['open']>) => unknown, string][] = [
      [(each) => each.credit(1), 'the first message must be hello'],
      [(each) => each.finish(), 'the first message must be hello'],
      [(each) => each.hello({ clusterId: '' }), 'hello.cluster_id must be set'],
      [
        (each) => each.hello({ gateway: 'x'.repeat(300) }),
        'hello.gateway must have 256 bytes at most',
      ],
      [(each) => each.hello({ creditBytes: 2n ** 53n }), 'hello.credit_bytes must be below 2^53'],
      [(each) => each.hello().hello(), 'hello must be the first message, and come once'],
      [(each) => each.hello().subscribe(1, 7, 0), 'subscribe.from must be 1 or larger'],
      [
        (each) => each.hello().subscribe(1, 7).subscribe(1, 7),
        'subscribe.subscription 1 is in use',
      ],
      [(each) => each.hello().credit(2 ** 53 - 1), 'credit.bytes must add up to less than 2^53'],
      [
        (each) => each.sayBytes(Buffer.from('ff', 'hex')),
        'a message is not a flotilla.replication.v1.AttachRequest',
      ],
    ];
    for (const [say, message] of texts) {
      const attached = link.open();
      say(attached);
      await link.clock.settle();
      expect(attached.outcome).toMatchObject({ code: status.INVALID_ARGUMENT, message });
    }
    expect(link.service.streamCount).toBe(0);
  });

  it('is not let in before it is known which cluster this is, nor without a hello, nor beyond the bound', async () => {
    const { link, cluster } = linked();
    cluster.isKnown = false;
    const early = await link.attach();
    expect(early.outcome).toMatchObject({ code: status.UNAVAILABLE });
    cluster.isKnown = true;
    const silent = link.open();
    await link.clock.advance(HELLO_TIMEOUT_MS + 1);
    expect(silent.outcome).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    const attached = await Promise.all(upTo(LINK_STREAMS_MAX).map(() => link.attach()));
    expect(attached.filter(({ outcome }) => outcome !== undefined)).toEqual([]);
    expect((await link.attach()).outcome).toMatchObject({ code: status.UNAVAILABLE });
    attached[0]?.cancel();
    await attached[0]?.ended;
    expect((await link.attach()).outcome).toBeUndefined();
  });

  it('that says no more is done; one that leaves, and one whose gateway stops, leave nothing behind', async () => {
    const { link, log } = linked(7);
    const done = (await link.attach()).subscribe(1, 7);
    const left = (await link.attach()).subscribe(1, 7);
    const cut = (await link.attach()).subscribe(1, 7);
    await link.clock.settle();
    expect(log(7).readers).toBe(3);
    done.finish();
    left.cancel();
    await Promise.all([done.ended, left.ended]);
    expect([done.outcome, left.outcome]).toMatchObject([null, { code: status.CANCELLED }]);
    link.service.close();
    await cut.ended;
    expect(cut.outcome).toMatchObject({ code: status.UNAVAILABLE });
    await link.clock.settle();
    expect([log(7).readers, link.service.streamCount]).toEqual([0, 0]);
    expect((await link.attach()).outcome).toMatchObject({ code: status.UNAVAILABLE });
  });
});

describe('the tables', () => {
  it('are told as they change, those that are gone only if they were told', async () => {
    const { link, cluster } = linked(7);
    const attached = await link.attach();
    cluster.create(9);
    await link.clock.settle();
    cluster.delete(7);
    cluster.delete(1234);
    await link.clock.settle();
    expect(attached.of('tables').slice(1)).toMatchObject([
      { begins: false, tables: [{ id: 9n }], deletedTables: [] },
      { begins: false, tables: [], deletedTables: [7n] },
    ]);
  });

  it('come in messages of a bounded size, of which the last one says that the view is whole', async () => {
    const { link } = linked(...upTo(2 * VIEW_TABLES_MAX + 1));
    const told = (await link.attach()).of('tables');
    expect(told.map(({ begins, more, tables }) => [begins, more, tables.length])).toEqual([
      [true, true, VIEW_TABLES_MAX],
      [false, true, VIEW_TABLES_MAX],
      [false, false, 1],
    ]);
  });

  it('that lie elsewhere now are no news', async () => {
    const { link, cluster } = linked(7);
    const attached = await link.attach();
    cluster.create(7);
    await link.clock.settle();
    expect(attached.of('tables')).toHaveLength(1);
  });
});

describe('a subscription', () => {
  it('is sent every entry from the first wanted one on, as they come, with where the log stands', async () => {
    const { link, log } = linked(7);
    log(7).append(command(), command(), command());
    const attached = (await link.attach()).subscribe(5, 7, 2);
    await link.clock.settle();
    expect(attached.indexes(5)).toEqual([2, 3]);
    log(7).append(command(), command());
    await link.clock.settle();
    expect(attached.indexes(5)).toEqual([2, 3, 4, 5]);
    expect(attached.of('entries').at(-1)).toMatchObject({
      leaderRevision: 5n,
      leaderClockMs: BigInt(link.clock.wallMs()),
    });
  });

  it('gathers what comes while the reader is behind into one message', async () => {
    const { link, log } = linked(7);
    const attached = (await link.attach()).subscribe(5, 7);
    await link.clock.settle();
    const release = attached.hold();
    log(7).append(command());
    await link.clock.settle();
    for (let nth = 0; nth < 50; nth++) {
      log(7).append(command());
      await link.clock.turn();
    }
    await link.clock.settle();
    expect(attached.of('entries')).toHaveLength(1);
    release();
    await link.clock.settle();
    expect(attached.of('entries')).toHaveLength(2);
    expect(attached.indexes(5)).toEqual(upTo(51));
  });

  it('that is ended by its subscriber is sent nothing more, and its log is left', async () => {
    const { link, log } = linked(7);
    const attached = (await link.attach()).subscribe(5, 7);
    await link.clock.settle();
    attached.unsubscribe(5).unsubscribe(77);
    await link.clock.settle();
    log(7).append(command());
    await link.clock.settle();
    expect(attached.indexes(5)).toEqual([]);
    expect(log(7).readers).toBe(0);
    expect([attached.outcome, link.service.subscriptionCount]).toEqual([undefined, 0]);
  });

  it('ends where the log was cut, after what was read before', async () => {
    const { link, log } = linked(7);
    log(7).append(...upTo(20).map(() => command()));
    log(7).firstIndex = 11;
    const attached = (await link.attach()).subscribe(5, 7, 10);
    await link.clock.settle();
    const message = 'the log begins at revision 11';
    expect(attached.of('end')).toEqual([
      { subscription: 5n, reason: COMPACTED, message, first: 11n },
    ]);
    attached.subscribe(6, 7, 11);
    await link.clock.settle();
    expect(attached.indexes(6)).toEqual(upTo(20).slice(10));
  });

  it('whose log is of another history than its copy ends so, and says which check the log has', async () => {
    const { link, log } = linked(7);
    log(7).append(...upTo(20).map(() => command()));
    log(7).divergedFrom = 0xabcn;
    const attached = (await link.attach())
      .subscribe(5, 7, 10, 7, 9n)
      .subscribe(6, 7, 10, 7, 0xabcn);
    await link.clock.settle();
    const message = 'the entry at revision 9 has check 0000000000000abc in the leader cluster';
    expect(attached.of('end')).toEqual([
      { subscription: 5n, reason: DIVERGED, message, first: 0n },
    ]);
    expect(attached.indexes(6)).toEqual(upTo(20).slice(9));
    expect(log(7).openedWith).toEqual([9n, 0xabcn]);
  });

  it('is told the check of the last entry of each message, which ends with a chunk where it can', async () => {
    const { link, log } = linked(7);
    const attached = (await link.attach({ creditBytes: 45n })).subscribe(5, 7);
    await link.clock.settle();
    const release = attached.hold();
    // Chunks of one, two and two entries.
    log(7).append(command());
    await link.clock.settle();
    for (let nth = 0; nth < 2; nth++) {
      log(7).append(command(), command());
      await link.clock.settle();
    }
    release();
    await link.clock.settle();
    const told = () =>
      attached.of('entries').map(({ entries, lastCheck }) => [entries.length, lastCheck]);
    expect(told()).toEqual([
      [1, 1n],
      [2, 3n],
      [1, undefined],
      [1, 5n],
    ]);
  });

  it('ends for a table that is not there, or has another epoch', async () => {
    const { link } = linked(7, 9);
    const attached = (await link.attach()).subscribe(1, 8).subscribe(2, 7, 1, 6);
    await link.clock.settle();
    expect(attached.of('end').map(({ subscription, reason }) => [subscription, reason])).toEqual([
      [1n, OTHER_TABLE],
      [2n, OTHER_TABLE],
    ]);
  });

  it('of a table that is newer than all that are known may be tried again', async () => {
    const { link, cluster } = linked(7);
    const attached = (await link.attach()).subscribe(1, 8).subscribe(2, 7, 1, 9);
    cluster.isKnown = false;
    attached.subscribe(3, 6);
    await link.clock.settle();
    expect(attached.of('end').map(({ reason }) => reason)).toEqual([FAILED, FAILED, FAILED]);
  });

  it('ends where the log ends before the wanted entry', async () => {
    const { link, log } = linked(7);
    log(7).append(command());
    const attached = (await link.attach()).subscribe(1, 7, 2).subscribe(2, 7, 3);
    attached.say({
      $case: 'subscribe',
      value: { subscription: 3n, tableId: 7n, epoch: 7n, from: 2n ** 60n },
    });
    await link.clock.settle();
    const ends = attached.of('end').map(({ subscription, reason }) => [subscription, reason]);
    expect(ends.sort()).toEqual([
      [2n, LEADER_BEHIND],
      [3n, LEADER_BEHIND],
    ]);
  });

  it.each([
    [new GrpcStatusError(status.UNAVAILABLE, 'no node left'), FAILED, 'no node left'],
    [new Error('a secret'), FAILED, 'internal error'],
    [new GrpcStatusError(status.NOT_FOUND, 'table not found'), OTHER_TABLE, 'table not found'],
    [new GrpcStatusError(status.FAILED_PRECONDITION, 'began anew'), OTHER_TABLE, 'began anew'],
  ])('ends when its log cannot be read any more: %s', async (error, reason, message) => {
    const { link, log } = linked(7, 8);
    log(7).append(command());
    const attached = (await link.attach()).subscribe(1, 7).subscribe(2, 8);
    await link.clock.settle();
    log(7).fail(error);
    log(8).append(command());
    await link.clock.settle();
    expect(attached.of('end')).toEqual([{ subscription: 1n, reason, message, first: 0n }]);
    expect([attached.indexes(1), attached.indexes(2)]).toEqual([[1], [1]]);
    // What the other end is not told is in the log.
    expect(link.logged).toHaveLength(error instanceof GrpcStatusError ? 0 : 1);
    expect(attached.outcome).toBeUndefined();
  });
});

describe('heartbeats', () => {
  it('come once an interval, with the clock, however many tables are idle', async () => {
    const { link } = linked(...upTo(1_000));
    const attached = await link.attach();
    for (const id of upTo(1_000)) attached.subscribe(id, id);
    await link.clock.settle();
    const before = attached.messages.length;
    await link.clock.advance(10 * HEARTBEAT_MS);
    const later = attached.messages.slice(before);
    expect(later.map(({ $case }) => $case)).toEqual(upTo(10).map(() => 'heartbeat'));
    const [first] = attached.of('heartbeat');
    expect(Number(first?.leaderClockMs)).toBeGreaterThan(1_700_000_000_000);
    expect(attached.of('heartbeat').flatMap(({ revisions }) => revisions)).toEqual([]);
  });

  it('tell revisions once, of those tables that have others than was told', async () => {
    const { link, log } = linked(7, 8);
    log(8).append(command());
    const attached = (await link.attach({ creditBytes: 10n })).subscribe(1, 7).subscribe(2, 8, 2);
    await link.clock.advance(HEARTBEAT_MS);
    log(7).append(command());
    await link.clock.advance(HEARTBEAT_MS);
    log(7).append(command());
    await link.clock.advance(2 * HEARTBEAT_MS);
    // The second entry came without credit: its revision is told all the same.
    expect(attached.indexes(1)).toEqual([1]);
    expect(attached.of('heartbeat').map(({ revisions }) => revisions)).toEqual([
      [{ tableId: 8n, revision: 1n }],
      [],
      [{ tableId: 7n, revision: 2n }],
      [],
    ]);
  });

  it('do not pile up while the reader takes nothing; after a while it is sent away', async () => {
    const { link } = linked();
    const attached = await link.attach();
    attached.hold();
    await link.clock.advance(HEARTBEAT_MS);
    await link.clock.advance(10 * HEARTBEAT_MS);
    expect(attached.of('heartbeat')).toHaveLength(1);
    await link.clock.advance(READER_STALL_MS);
    expect(attached.outcome).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect(link.service.streamCount).toBe(0);
  });
});
