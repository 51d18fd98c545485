/**
 * A puller between two clusters in memory: what gets into the copy, whatever goes wrong on the way.
 */
import { SILENT_LOGGER } from '@flotilla/platform';
import { beforeEach, describe, expect, it } from 'vitest';
import { FakeCopy, FakeLeader, FakeOwn, statusError } from '../../test/support/fake-clusters.js';
import { ManualClock } from '../../test/support/manual-clock.js';
import { Holding } from './holdings.js';
import { PositionBoard } from './position-board.js';
import { Puller } from './puller.js';
import { type PullerEnd } from './puller-machine.js';

const TABLE = 'orders';
const SOURCE = { tableId: 0, epoch: 1 };

let clock: ManualClock;
let leader: FakeLeader;
let own: FakeOwn;
let board: PositionBoard;
let failures: string[];

beforeEach(async () => {
  clock = new ManualClock();
  leader = new FakeLeader();
  own = new FakeOwn(clock);
  board = new PositionBoard();
  failures = [];
  await own.create(TABLE, SOURCE);
  write(10);
});

function write(count: number): void {
  const { writes } = leader.table(TABLE);
  for (let nth = 0; nth < count; nth++) {
    const at = writes.length;
    writes.push([`key ${at % 7}`, at % 5 === 4 ? undefined : `value ${at}`]);
  }
}

function copy(): FakeCopy {
  return own.copy(TABLE);
}

function start(token = 1) {
  const named = { table: TABLE, id: copy().id, source: SOURCE };
  const holding = new Holding(named, token);
  const events = {
    applied: () => undefined,
    failed: (_: string, kind: string) => void failures.push(kind),
  };
  const logger = SILENT_LOGGER;
  const parts = { leader, own, clock, board, events, logger, pollIntervalMs: 1_000 };
  const puller = new Puller(parts, holding);
  const ended: Promise<PullerEnd> = puller.run();
  return { puller, holding, ended };
}

/** Every entry of the leader cluster once, in order, and what they make. */
function expectWhole(): void {
  const { lastIndex } = leader.table(TABLE);
  expect(copy().applied).toEqual(Array.from({ length: lastIndex }, (_, at) => at + 1));
  expect(copy().content).toEqual(leader.table(TABLE).content());
}

function twice<T>(entries: readonly T[]): T[] {
  return entries.flatMap((entry) => [entry, entry]);
}

async function stopped({ holding, ended }: ReturnType<typeof start>): Promise<PullerEnd> {
  holding.end();
  return ended;
}

describe('a puller', () => {
  it('brings every entry into the copy, and those that come later', async () => {
    const running = start();
    await clock.advance(100);
    expectWhole();
    write(5);
    await clock.advance(1_000);
    expectWhole();
    expect(await stopped(running)).toBe('stopped');
  });

  it('begins behind what the copy holds, after it has taken the table over with its token', async () => {
    const before = start(3);
    await clock.advance(100);
    await stopped(before);
    write(4);
    leader.polls.length = 0;
    const running = start(4);
    await clock.advance(100);
    expect(leader.polls[0]).toEqual({ table: TABLE, from: 11 });
    expect(copy().token).toBe(4);
    expectWhole();
    await stopped(running);
  });

  it('applies a batch once, whether its answer was lost after it or it was lost itself', async () => {
    leader.entriesPerMessage = 2;
    let nth = 0;
    own.around = (method, deed) => {
      if (method !== 'apply') return deed();
      nth++;
      if (nth === 2) throw statusError('UNAVAILABLE', 'lost on its way');
      const answer = deed();
      if (nth === 4) throw statusError('DEADLINE_EXCEEDED', 'its answer was lost');
      return answer;
    };
    const running = start();
    await clock.advance(2_000);
    expectWhole();
    expect(failures).toEqual(['copy-in-doubt', 'copy-in-doubt']);
    await stopped(running);
  });

  it('in doubt asks where the copy stands before it polls again', async () => {
    const seen: string[] = [];
    let isFirst = true;
    own.around = (method, deed, batch) => {
      if (method !== 'apply') return deed();
      const { commands } = batch as { commands: unknown[] };
      seen.push(commands.length === 0 ? 'asked' : 'applied');
      if (commands.length === 0 || !isFirst) return deed();
      isFirst = false;
      deed();
      throw statusError('UNAVAILABLE');
    };
    leader.entriesPerMessage = 100;
    const running = start();
    await clock.advance(50);
    expect(seen).toEqual(['asked', 'applied']);
    await clock.advance(500);
    expect(seen).toEqual(['asked', 'applied', 'asked']);
    expect(leader.polls[1]).toEqual({ table: TABLE, from: 11 });
    await stopped(running);
  });

  it.each<[string, FakeLeader['twist']]>([
    ['a gap', (message) => ({ ...message, entries: message.entries.slice(1) })],
    ['an index that comes twice', (message) => ({ ...message, entries: twice(message.entries) })],
    ['an end without a word', (message) => (message.kind === 'final' ? undefined : message)],
  ])('refuses %s of the log, and goes on once the log is what it must be', async (_, twist) => {
    leader.twist = twist;
    const running = start();
    await clock.advance(600);
    expect(failures.length).toBeGreaterThan(0);
    expect(new Set(failures)).toEqual(new Set(['log-garbled']));
    const { applied } = copy();
    expect(applied).toEqual(applied.map((__, at) => at + 1));
    leader.twist = (message) => message;
    await clock.advance(10_000);
    expectWhole();
    await stopped(running);
  });

  it('keeps what it got before a log broke, so that one that always breaks is read all the same', async () => {
    let nth = 0;
    leader.twist = (message) => {
      if (++nth % 3 === 0) throw statusError('UNAVAILABLE');
      return message;
    };
    const running = start();
    await clock.advance(2_000);
    expect(failures.length).toBeGreaterThan(0);
    expectWhole();
    await stopped(running);
  });

  it('lets a younger token have the table, and writes nothing more', async () => {
    const running = start(1);
    await clock.advance(100);
    copy().token = 2;
    write(5);
    await clock.advance(2_000);
    expect(await running.ended).toBe('lease-lost');
    expect(copy().index).toBe(10);
  });

  it('ends when the copy is gone, and when a snapshot is needed', async () => {
    leader.table(TABLE).firstIndex = 5;
    expect(await start().ended).toBe('use-snapshot');
    leader.table(TABLE).firstIndex = 1;
    const running = start(2);
    await clock.advance(100);
    own.tables.delete(TABLE);
    write(1);
    await clock.advance(2_000);
    expect(await running.ended).toBe('copy-gone');
  });

  it('changes nothing when the leader cluster is behind the copy, and says so', async () => {
    copy().index = 20;
    const running = start();
    await clock.advance(60_000);
    expect(copy().applied).toEqual([]);
    expect(new Set(failures)).toEqual(new Set(['leader-behind']));
    expect(failures.length).toBeLessThan(10);
    expect(running.puller.machine.state).toBe('leader-behind');
    await stopped(running);
  });

  it('goes on when the leader cluster is there again', async () => {
    leader.failures = [
      statusError('UNAVAILABLE'),
      statusError('INTERNAL'),
      statusError('NOT_FOUND'),
    ];
    const running = start();
    await clock.advance(20_000);
    expect(failures).toEqual(['leader-unavailable', 'leader-error', 'table-missing']);
    expectWhole();
    await stopped(running);
  });

  it('gathers messages into one batch, and sends what has waited when no more comes', async () => {
    leader.entriesPerMessage = 1;
    const batches: number[] = [];
    own.around = (method, deed, batch) => {
      if (method === 'apply') batches.push((batch as { commands: unknown[] }).commands.length);
      return deed();
    };
    const running = start();
    await clock.advance(100);
    expect(batches).toEqual([0, 10]);
    await stopped(running);
  });

  it('tells where the leader cluster stands, and how far the copy is behind', async () => {
    const running = start();
    await clock.advance(100);
    expect(board.takeReport().positions).toMatchObject([{ copyId: copy().id, leaderIndex: 10 }]);
    expect(board.lags(clock.nowMs())).toEqual([
      { table: TABLE, leaderIndex: 10, copyIndex: 10, seconds: 0 },
    ]);
    await stopped(running);
  });
});
