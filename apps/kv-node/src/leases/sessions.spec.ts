/**
 * Sessions and the leases of tables under them, on the catalog of one node and a clock that the test moves.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openNode, SELF, type NodeOnDisk } from '../../test/support/node-on-disk.js';
import {
  compare,
  createCommand,
  deleteCommand,
  encodeLease,
  leaseKey,
  newRow,
  nextTableId,
  remove,
  txn,
} from '../catalog/catalog-rows.js';
import { Catalog } from '../catalog/catalog.service.js';
import { leasesCommand, openSessionCommand, type StoredSession } from '../catalog/lease-rows.js';
import { Sessions, SESSIONS_MAX } from './sessions.js';
import { TableLeases } from './table-leases.js';

const FAR_MS = 60_000;
const TTL_MS = 3_000;

let node: NodeOnDisk;
let catalog: Catalog;
let sessions: Sessions;
let leases: TableLeases;
let nowMs: number;
let deadlineMs: number;

beforeEach(async () => {
  node = await openNode();
  catalog = new Catalog(node.runtime, node.engine, [SELF]);
  deadlineMs = catalog.deadline(FAR_MS);
  await catalog.group.leaderKnown(deadlineMs);
  nowMs = 1_000;
  sessions = new Sessions(catalog, { nowMs: () => nowMs });
  leases = new TableLeases(catalog, sessions);
});
afterEach(() => {
  expect(node.fatal).toEqual([]);
  node.runtime.stop();
});

async function open(holder: string): Promise<number> {
  const token = await sessions.hold({ holder, token: 0, ttlMs: TTL_MS }, deadlineMs);
  if (token === undefined) throw new Error('a session was not opened');
  return token;
}

const beat = (holder: string, token: number) =>
  sessions.hold({ holder, token, ttlMs: TTL_MS }, deadlineMs);

const living = () => sessions.living().map(({ holder }) => holder);

async function createCopies(count: number): Promise<number[]> {
  const ids: number[] = [];
  for (let nth = 0; nth < count; nth++) {
    const { sequence } = catalog.state;
    const source = { tableId: nth + 1, epoch: 1 };
    const row = newRow(`t-${nth}`, nextTableId(sequence), [SELF], SELF, source);
    await catalog.propose(createCommand(row, sequence).command, deadlineMs);
    ids.push(Number(row.id));
  }
  return ids;
}

async function take(holder: string, session: number, tableIds: readonly number[]) {
  const tokens = await leases.take({ holder, session, tableIds }, deadlineMs);
  return tokens && tableIds.map((id) => tokens.get(id) ?? 0);
}

describe('a session', () => {
  it('lives as long as it is told in time, on the clock of the node that looks', async () => {
    const token = await open('a');
    nowMs += TTL_MS - 1;
    expect(living()).toEqual(['a']);
    expect(await beat('a', token)).toBe(token);
    nowMs += TTL_MS - 1;
    expect(sessions.remainingMs('a', token)).toBe(1);
    nowMs += 1;
    expect(living()).toEqual([]);
    expect(sessions.remainingMs('a', token)).toBe(0);
  });

  it('that was over lives again when it is told late, if nobody has done away with it', async () => {
    const token = await open('a');
    nowMs += 2 * TTL_MS;
    expect(living()).toEqual([]);
    expect(await beat('a', token)).toBe(token);
    expect(living()).toEqual(['a']);
  });

  it('is gone for good once it is over and another one is opened, and no other has its token', async () => {
    const first = await open('a');
    nowMs += TTL_MS;
    const second = await open('b');
    expect(await beat('a', first)).toBeUndefined();
    expect(living()).toEqual(['b']);
    const third = await open('a');
    expect(new Set([first, second, third]).size).toBe(3);
    expect(sessions.remainingMs('a', first)).toBe(0);
    expect(sessions.remainingMs('a', third)).toBe(TTL_MS);
  });

  it('is not done away with by who has not heard that it lives', async () => {
    await open('z');
    const token = await open('a');
    const { stored } = catalog.state.sessions.get('a') ?? {};
    const { sessionSequence } = catalog.state;
    if (!stored) throw new Error('there is no session');
    await beat('a', token);
    const stale: StoredSession = { holder: 'a', stored };
    const row = { token: BigInt(token + 1), ttlMs: BigInt(TTL_MS), beats: 0n };
    const { command, doneBy } = openSessionCommand('b', row, sessionSequence, [stale]);
    expect((await catalog.propose(command, deadlineMs)).succeeded).not.toBe(doneBy);
    expect(living()).toEqual(['a', 'z']);
  });

  it('ends once, by its token', async () => {
    const token = await open('a');
    expect(await sessions.end('a', token + 1, deadlineMs)).toBe(false);
    expect(await sessions.end('a', token, deadlineMs)).toBe(true);
    expect(await sessions.end('a', token, deadlineMs)).toBe(false);
    expect(living()).toEqual([]);
  });

  it('begins its time anew with a new leader of the catalog, unless it was over before', async () => {
    let term = 1;
    const group = { get: (_: unknown, key: string) => (key === 'term' ? term : undefined) };
    const seen = new Proxy(catalog, {
      get: (target, key) =>
        key === 'group' ? new Proxy({}, group) : (Reflect.get(target, key) as unknown),
    });
    const follower = new Sessions(seen, { nowMs: () => nowMs });
    const dead = await open('dead');
    expect(follower.remainingMs('dead', dead)).toBe(TTL_MS);
    nowMs += TTL_MS;
    expect(follower.remainingMs('dead', dead)).toBe(0);
    const waiting = await beat('dead', dead);
    expect(waiting).toBe(dead);
    nowMs += TTL_MS - 1;
    term = 2;
    expect(follower.remainingMs('dead', dead)).toBe(TTL_MS);
    nowMs += TTL_MS;
    expect(follower.remainingMs('dead', dead)).toBe(0);
    term = 3;
    expect(follower.remainingMs('dead', dead)).toBe(0);
  });

  it('is refused beyond the number of gateways that may live at a time', async () => {
    for (let nth = 0; nth < SESSIONS_MAX; nth++) await open(`g-${nth}`);
    await expect(open('one-more')).rejects.toThrow(`at most ${SESSIONS_MAX} gateways`);
    nowMs += TTL_MS;
    await open('one-more');
    expect(living()).toEqual(['one-more']);
    expect(catalog.state.sessions.size).toBe(1);
  });
});

describe('leases of tables', () => {
  it('are taken many at once, in one entry, and by one gateway alone', async () => {
    const ids = await createCopies(100);
    const [a, b] = [await open('a'), await open('b')];
    const before = catalog.appliedIndex;
    expect(await take('a', a, ids)).toEqual(ids.map(() => 1));
    expect(catalog.appliedIndex - before).toBe(1);
    expect(await take('b', b, ids)).toEqual(ids.map(() => 0));
  });

  it('go to another gateway with higher tokens once their session is over, or has ended', async () => {
    const ids = await createCopies(3);
    const [a, b] = [await open('a'), await open('b')];
    await take('a', a, ids);
    nowMs += TTL_MS - 1;
    await beat('b', b);
    expect(await take('b', b, ids)).toEqual([0, 0, 0]);
    nowMs += 1;
    expect(await take('b', b, ids)).toEqual([2, 2, 2]);
    // Its session lives again, and what was taken stays taken.
    expect(await beat('a', a)).toBe(a);
    expect(await take('a', a, ids)).toEqual([0, 0, 0]);
    await sessions.end('b', b, deadlineMs);
    expect(await take('a', a, ids)).toEqual([3, 3, 3]);
  });

  it('are not taken from a session that was told that it lives in the meantime', async () => {
    const [id = 0] = await createCopies(1);
    const a = await open('a');
    await take('a', a, [id]);
    const lease = catalog.state.leases.get(id);
    const over = sessions.row('a', a);
    if (!lease || !over) throw new Error('nothing is held');
    await beat('a', a);
    const row = { holder: 'b', token: 2n, expiresAtMs: 0n, session: 99n };
    const change = { tableId: id, stored: lease.stored, row };
    const { command, doneBy } = leasesCommand([change], [over]);
    expect((await catalog.propose(command, deadlineMs)).succeeded).not.toBe(doneBy);
    expect(catalog.state.leases.get(id)).toMatchObject({ holder: 'a', token: 1 });
  });

  it('given back are free at once, their tokens go on, and those of others are left alone', async () => {
    const ids = await createCopies(3);
    const [a, b] = [await open('a'), await open('b')];
    await take('a', a, ids.slice(0, 2));
    await take('b', b, ids.slice(2));
    const given = ids.map((tableId) => ({ tableId, token: 1 }));
    expect(await leases.giveBack('a', given, deadlineMs)).toBe(2);
    expect(await take('b', b, ids)).toEqual([2, 2, 2]);
  });

  it('are had for copies that there are, under a session that there is', async () => {
    const [id = 0, gone = 0] = await createCopies(2);
    const a = await open('a');
    const row = catalog.state.tablesById.get(gone);
    if (!row) throw new Error('there is no such table');
    await catalog.propose(deleteCommand(row.stored), deadlineMs);
    expect(await take('a', a, [gone, id, 77])).toEqual([0, 1, 0]);
    expect(catalog.state.leases.has(gone)).toBe(false);
    expect(await take('a', a + 1, [id])).toBeUndefined();
  });

  it('of a catalog that was written before there were sessions are anybody’s', async () => {
    const [old = 0, none = 0] = await createCopies(2);
    const far = BigInt(Number.MAX_SAFE_INTEGER);
    const row = { holder: 'old', token: 6n, expiresAtMs: far, session: 0n };
    const stored = catalog.state.leases.get(old)?.stored;
    await catalog.replace(leaseKey(old), stored, encodeLease(row), deadlineMs);
    // What an older version has created has no row until somebody takes it.
    const bare = leaseKey(none);
    const { stored: free } = catalog.state.leases.get(none) ?? {};
    await catalog.propose(txn(compare(bare, free), [remove(bare)], []), deadlineMs);
    expect(catalog.state.leases.has(none)).toBe(false);
    const a = await open('a');
    expect(await take('a', a, [old, none])).toEqual([7, 1]);
  });

  it('change the version that tells gateways to look, and a session that goes on does not', async () => {
    const [id = 0] = await createCopies(1);
    const a = await open('a');
    const before = catalog.replicasVersion;
    await beat('a', a);
    expect(catalog.replicasVersion).toBe(before);
    await take('a', a, [id]);
    const taken = catalog.replicasVersion;
    expect(taken).toBeGreaterThan(before);
    await sessions.end('a', a, deadlineMs);
    expect(catalog.replicasVersion).toBeGreaterThan(taken);
  });
});
