/**
 * Copies made anew in the shadow, between clusters in memory: what is sent, what is filled, and what
 * readers see, whatever breaks.
 */
import { type hot } from '@flotilla/proto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeCopy, statusError } from '../../test/support/fake-clusters.js';
import { LinkWorld } from '../../test/support/link-world.js';
import { type Row } from './ports.js';

const TABLE = 'first';
const SEEN = 10;
const NEVER = () => new Promise<void>(() => undefined);

let world: LinkWorld;

beforeEach(() => {
  world = new LinkWorld();
  world.link.create(TABLE);
});

afterEach(() => world.close());

/** A hundred keys, each written once, and some of them once more. */
function writeKeys(count: number): void {
  const { writes } = world.leader.table(TABLE);
  for (let nth = 0; nth < count; nth++) writes.push([`key ${String(nth).padStart(3, '0')}`, 'v']);
}

/** A new cluster has to take a snapshot: its log does not reach back to the first entry. */
function cutLog(): void {
  const table = world.leader.table(TABLE);
  table.firstIndex = table.lastIndex + 1;
}

/** A copy that has seen some of it, and none of what was written while its gateway was down. */
async function fallBehind(): Promise<void> {
  world.write(TABLE, SEEN);
  const gateway = await world.start('before');
  await world.clock.advance(1_500);
  await gateway.stop();
  world.write(TABLE, 30);
  cutLog();
}

function expectWhole(): void {
  expect(world.isSame(TABLE)).toBe(true);
  expect(world.shadows.byName.size).toBe(0);
}

/** No row was sent twice to be filled. */
function expectFilledOnce(): void {
  expect(world.shadows.filled).toEqual([...new Set(world.shadows.filled)]);
}

describe('a copy that cannot be pulled on', () => {
  it('has the revisions and versions of the leader cluster once it is made anew', async () => {
    writeKeys(20);
    writeKeys(10);
    cutLog();
    await world.start();
    await world.clock.advance(3_000);
    expectWhole();
    world.write(TABLE, 5);
    await world.clock.advance(100);
    expectWhole();
  });

  it('is served as it was until the new one is complete', async () => {
    await fallBehind();
    const before = world.copy(TABLE);
    world.link.beforeChunk = (nth) => (nth === 1 ? NEVER() : undefined);
    world.link.rowsPerChunk = 2;
    await world.start();
    await world.clock.advance(5_000);
    expect(world.shadows.byName.size).toBe(1);
    expect(world.copy(TABLE)).toBe(before);
    expect(before.rows).toEqual(world.leader.table(TABLE).rows(SEEN));
  });

  it('asks for no more than what changed since it was current', async () => {
    await fallBehind();
    await world.start();
    await world.clock.advance(3_000);
    expectWhole();
    expect(world.link.snapshots.map(({ sinceRevision }) => sinceRevision)).toEqual([10n]);
    expect(world.shadows.filled).toHaveLength(world.copy(TABLE).rows.length);
  });

  it('asks for everything where the history does not reach back that far', async () => {
    await fallBehind();
    world.link.historyFrom = 25;
    await world.start();
    await world.clock.advance(3_000);
    expectWhole();
    expect(world.link.snapshots.map(({ sinceRevision }) => sinceRevision)).toEqual([10n, 0n]);
  });

  it('asks for everything where the old copy is of another table', async () => {
    await fallBehind();
    world.link.create(TABLE);
    world.write(TABLE, 40);
    cutLog();
    await world.start();
    await world.clock.advance(3_000);
    expectWhole();
    expect(world.link.snapshots.map(({ sinceRevision }) => sinceRevision)).toEqual([0n]);
  });

  it('is filled no faster than it is allowed', async () => {
    writeKeys(40);
    cutLog();
    await world.start('a', { snapshotReceiveBytesPerSecondMax: 100 });
    await world.clock.advance(5_000);
    expect(world.shadows.byName.size).toBe(1);
    await world.clock.advance(30_000);
    expectWhole();
  });
});

describe('a snapshot that broke', () => {
  const KEYS = 12;
  const CHUNKS = 6;
  const chunks = Array.from({ length: CHUNKS }, (_, nth) => nth);

  it.each(chunks)('at its chunk %i is gone on with behind the last good one', async (at) => {
    writeKeys(KEYS);
    cutLog();
    let breaks = 1;
    world.link.beforeChunk = (nth) => {
      if (nth === at && breaks-- > 0) throw statusError('UNAVAILABLE', 'the node is gone');
    };
    await world.start();
    await world.clock.advance(10_000);
    expectWhole();
    expectFilledOnce();
    const [, second] = world.link.snapshots;
    const resumed = { atRevision: BigInt(KEYS), afterKey: keyBefore(at) };
    expect(second).toMatchObject(at === 0 ? { atRevision: 0n } : resumed);
  });

  it.each(chunks)(
    'because its chunk %i came damaged is as good as one that was cut',
    async (at) => {
      writeKeys(KEYS);
      cutLog();
      let breaks = 1;
      world.link.twistChunk = (chunk, nth) => (nth === at && breaks-- > 0 ? damaged(chunk) : chunk);
      await world.start();
      await world.clock.advance(10_000);
      expectWhole();
      expectFilledOnce();
      expect(world.link.snapshots[1]?.afterKey).toEqual(keyBefore(at));
    },
  );

  it('without its last message is not taken for a whole one', async () => {
    writeKeys(KEYS);
    cutLog();
    let breaks = 1;
    world.link.twistChunk = (chunk) =>
      !chunk.more && breaks-- > 0 ? { ...chunk, more: true } : chunk;
    await world.start();
    await world.clock.advance(10_000);
    expectWhole();
    expect(world.link.snapshots).toHaveLength(2);
  });

  it('of changes is gone on with as such', async () => {
    await fallBehind();
    let breaks = 1;
    world.link.beforeChunk = (nth) => {
      if (nth === 2 && breaks-- > 0) throw statusError('UNAVAILABLE');
    };
    await world.start();
    await world.clock.advance(10_000);
    expectWhole();
    expectFilledOnce();
    const [, second] = world.link.snapshots;
    expect(second).toMatchObject({ sinceRevision: 10n, atRevision: 40n });
  });

  it('and cannot be read any more is begun anew, with nothing left of the first one', async () => {
    writeKeys(KEYS);
    cutLog();
    let breaks = 1;
    world.link.beforeChunk = (nth) => {
      if (nth !== 3 || breaks-- === 0) return;
      const { writes } = world.leader.table(TABLE);
      for (let key = 0; key < 4; key++) writes.push([`key 00${key}`, undefined]);
      world.link.historyFrom = writes.length;
      cutLog();
      throw statusError('UNAVAILABLE');
    };
    await world.start();
    await world.clock.advance(10_000);
    expectWhole();
    expect(world.link.snapshots.at(-1)).toMatchObject({ atRevision: 0n, sinceRevision: 0n });
  });

  function keyBefore(chunk: number): Buffer {
    const last = chunk * world.link.rowsPerChunk - 1;
    return Buffer.from(last < 0 ? '' : `key ${String(last).padStart(3, '0')}`);
  }
});

describe('a copy that is wanted anew', () => {
  it('is made anew of everything, and served until then, though its log could be gone on with', async () => {
    world.write(TABLE, 30);
    await world.start();
    await world.clock.advance(3_000);
    const before = world.copy(TABLE);
    before.rowsByKey.set('bad', { ...world.copy(TABLE).rows[0], key: Buffer.from('bad') } as Row);
    expect(world.isSame(TABLE)).toBe(false);
    before.renewalWanted = true;
    const seen: boolean[] = [];
    world.link.beforeChunk = () => void seen.push(world.copy(TABLE) === before);
    await world.clock.advance(10_000);
    expectWhole();
    expectFilledOnce();
    expect(seen.length).toBeGreaterThan(1);
    expect(seen).not.toContain(false);
    expect(world.copy(TABLE).id).not.toBe(before.id);
    expect(world.link.snapshots.map(({ sinceRevision }) => sinceRevision)).toEqual([0n]);
    world.write(TABLE, 5);
    await world.clock.advance(3_000);
    expectWhole();
    expect(world.link.snapshots).toHaveLength(1);
  });

  it('by a gateway that begins only then, too', async () => {
    world.write(TABLE, 30);
    const gateway = await world.start('before');
    await world.clock.advance(3_000);
    await gateway.stop();
    const before = world.copy(TABLE);
    before.renewalWanted = true;
    await world.start('after');
    await world.clock.advance(10_000);
    expectWhole();
    expect(world.copy(TABLE).id).not.toBe(before.id);
  });

  it('while it is made anew of what changed is made anew once more, of everything', async () => {
    await fallBehind();
    const before = world.copy(TABLE);
    world.link.beforeChunk = (nth) => {
      if (nth === 1) before.renewalWanted = true;
    };
    await world.start();
    await world.clock.advance(20_000);
    expectWhole();
    expect(world.link.snapshots.map(({ sinceRevision }) => sinceRevision)).toEqual([10n, 0n]);
    expect(world.copy(TABLE).renewalWanted).toBe(false);
  });
});

describe('while a copy is made anew', () => {
  it('another gateway goes on where one that was killed had come to', async () => {
    writeKeys(12);
    cutLog();
    world.link.beforeChunk = (nth) => (nth === 5 ? NEVER() : world.clock.sleep(600));
    const killed = await world.start('a');
    await world.clock.advance(5_000);
    killed.isCutOff = true;
    world.link.beforeChunk = () => undefined;
    await world.start('b');
    await world.clock.advance(10_000);
    expectWhole();
    expectFilledOnce();
    expect(world.link.snapshots.at(-1)).toMatchObject({ atRevision: 12n });
    expect(world.copy(TABLE).lease?.holder).toBe('b');
  });

  it('a gateway that was cut off and comes back writes nothing into what another one fills', async () => {
    writeKeys(12);
    cutLog();
    const goOn: (() => void)[] = [];
    world.link.beforeChunk = (nth) => (nth === 3 ? new Promise((go) => goOn.push(go)) : undefined);
    const late = await world.start('a');
    await world.clock.advance(2_000);
    late.isCutOff = true;
    await world.start('b');
    await world.clock.advance(6_000);
    late.isCutOff = false;
    for (const go of goOn) go();
    world.link.beforeChunk = () => undefined;
    await world.clock.advance(10_000);
    expectWhole();
    expectFilledOnce();
    expect(world.copy(TABLE).lease?.holder).toBe('b');
  });

  it('of two gateways that fill it the one with the younger token does', async () => {
    writeKeys(12);
    cutLog();
    const outcomes: unknown[] = [];
    world.own.around = async (method, deed) => {
      // Somebody else begins, whatever the leases say.
      if (method === 'fill' && outcomes.length === 0) {
        const shadow = world.shadows.byName.get(TABLE);
        if (shadow) shadow.token++;
      }
      const outcome = await deed();
      if (method === 'fill') outcomes.push(outcome);
      return outcome;
    };
    await world.start();
    await world.clock.advance(30_000);
    expect(outcomes[0]).toBe('old-token');
    expectWhole();
    expectFilledOnce();
  });

  it('it is made anew once more when the name means another table meanwhile', async () => {
    writeKeys(12);
    cutLog();
    world.link.beforeChunk = (nth) => {
      if (nth !== 2) return;
      world.link.beforeChunk = () => undefined;
      world.link.create(TABLE);
      world.write(TABLE, 3);
    };
    await world.start();
    await world.clock.advance(10_000);
    expectWhole();
    expect(world.copy(TABLE).source?.tableId).toBe(102);
  });

  it('and its name means another copy here meanwhile, that one is made whole', async () => {
    writeKeys(12);
    cutLog();
    world.link.beforeChunk = (nth) => {
      if (nth !== 2) return;
      world.link.beforeChunk = () => undefined;
      const copy = new FakeCopy(world.own.newId(), world.copy(TABLE).source);
      world.own.tables.set(TABLE, copy);
    };
    await world.start();
    await world.clock.advance(20_000);
    expectWhole();
  });

  it('and its table is deleted, nothing is left of either', async () => {
    writeKeys(12);
    cutLog();
    world.link.beforeChunk = (nth) => (nth === 2 ? NEVER() : undefined);
    await world.start();
    await world.clock.advance(2_000);
    expect(world.shadows.byName.size).toBe(1);
    world.link.delete(TABLE);
    await world.clock.advance(5_000);
    expect(world.own.tables.size).toBe(0);
    expect(world.shadows.byName.size).toBe(0);
    expect(world.gateways[0]?.group.hearsOwnCluster).toBe(true);
  });

  it('an answer to its end that is lost changes nothing', async () => {
    writeKeys(12);
    cutLog();
    let losses = 1;
    world.own.around = (method, deed) => {
      const outcome = deed();
      if (method === 'complete' && losses-- > 0) throw statusError('DEADLINE_EXCEEDED');
      return outcome;
    };
    await world.start();
    await world.clock.advance(10_000);
    expectWhole();
    expect(world.link.snapshots).toHaveLength(1);
  });

  it('the name is left to whoever restores it', async () => {
    writeKeys(12);
    cutLog();
    const source = { tableId: 0, epoch: 0 };
    const wish = { table: TABLE, purpose: 'restore/monday', source, replace: false };
    const { shadow } = await world.shadows.begin(wish);
    await world.start();
    await world.clock.advance(10_000);
    expect(world.shadows.byName.get(TABLE)?.purpose).toBe('restore/monday');
    if (shadow) await world.shadows.drop(shadow);
    await world.clock.advance(30_000);
    expectWhole();
  });
});

function damaged(chunk: hot.ReceivedSnapshotChunk): hot.ReceivedSnapshotChunk {
  const rows = chunk.rows.map((row) => ({ ...row, value: Buffer.from('another value') }));
  return { ...chunk, rows };
}
