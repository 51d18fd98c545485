/**
 * A leader cluster that was set back to an older state, and has written something else since: its copies
 * notice that, and are equal afterwards.
 */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FakeLeaderTable, statusError } from '../../test/support/fake-clusters.js';
import { LinkWorld } from '../../test/support/link-world.js';

const TABLE = 'first';
const SEEN = 20;
const COMMON = 12;

let world: LinkWorld;

beforeEach(async () => {
  world = new LinkWorld();
  world.link.create(TABLE);
  world.write(TABLE, SEEN);
  await world.start();
  await world.clock.advance(1_500);
  expect(world.isSame(TABLE)).toBe(true);
});

afterEach(() => world.close());

const table = (): FakeLeaderTable => world.leader.table(TABLE);

/** Streams break with it, as they do when all nodes are stopped. */
function setBack(written: number): void {
  world.link.cut();
  table().setBack(COMMON);
  world.write(TABLE, written);
}

function cutLog(): void {
  table().firstIndex = table().lastIndex;
}

const sinceRevisions = () => world.link.snapshots.map(({ sinceRevision }) => sinceRevision);

async function failures(kind: string): Promise<number> {
  const { registry } = world.gateways[0] ?? {};
  const metric = await registry?.getSingleMetric('flotilla_puller_errors_total')?.get();
  const { values = [] } = metric ?? {};
  return values.find(({ labels }) => labels.kind === kind)?.value ?? 0;
}

describe('a leader cluster that was set back', () => {
  it('and whose log has grown past the copy is noticed: the copy is made anew whole', async () => {
    const before = world.copy(TABLE);
    setBack(30);
    await world.clock.advance(5_000);
    expect(world.isSame(TABLE)).toBe(true);
    expect(world.copy(TABLE)).not.toBe(before);
    expect(before.index).toBe(SEEN);
    expect(sinceRevisions()).toEqual([0n]);
    expect(await failures('diverged')).toBe(1);
    world.write(TABLE, 5);
    await world.clock.advance(1_000);
    expect(world.isSame(TABLE)).toBe(true);
  });

  it('and whose log ends where the copy does is noticed too', async () => {
    setBack(SEEN - COMMON);
    await world.clock.advance(5_000);
    expect(world.isSame(TABLE)).toBe(true);
    expect(await failures('diverged')).toBe(1);
  });

  it('and whose log is shorter keeps its copy until the log has grown past it', async () => {
    const before = world.copy(TABLE);
    setBack(2);
    await world.clock.advance(3_000);
    expect(world.copy(TABLE)).toBe(before);
    expect(await failures('leader-behind')).toBeGreaterThan(0);
    world.write(TABLE, 30);
    await world.clock.advance(15_000);
    expect(world.isSame(TABLE)).toBe(true);
    expect(sinceRevisions()).toEqual([0n]);
  });

  it('and whose log was cut past the copy: what changed does not come to the digest, so all is taken', async () => {
    setBack(0);
    // Of what the copy has of the other history most is not written again.
    for (let nth = 0; nth < 30; nth++) table().writes.push(['key 0', `other ${nth}`]);
    cutLog();
    await world.clock.advance(5_000);
    expect(world.isSame(TABLE)).toBe(true);
    expect(sinceRevisions()).toEqual([BigInt(SEEN), 0n]);
    expect(await failures('diverged')).toBe(1);
  });

  it('while its copy is made anew: what was filled before is not mixed with what comes after', async () => {
    const { clock, link } = world;
    table().setBack(COMMON);
    table().setBack(0);
    world.write(TABLE, 40);
    link.rowsPerChunk = 1;
    let breaks = 1;
    link.beforeChunk = (nth) => {
      if (nth !== 3 || breaks-- === 0) return;
      table().setBack(10);
      world.write(TABLE, 60);
      throw statusError('UNAVAILABLE');
    };
    link.cut();
    await clock.advance(10_000);
    expect(world.isSame(TABLE)).toBe(true);
    expect(link.snapshots.at(-1)).toMatchObject({ sinceRevision: 0n, atRevision: 0n });
    expect(link.snapshots.length).toBeGreaterThanOrEqual(3);
  });
});

describe('a leader cluster that was not set back', () => {
  it('is followed on by its log after every break, and never taken for another one', async () => {
    const before = world.copy(TABLE);
    for (let nth = 0; nth < 10; nth++) {
      world.write(TABLE, nth);
      if (nth % 2 === 0) world.link.cut();
      await world.clock.advance(nth * 100);
    }
    await world.clock.advance(2_000);
    expect(world.isSame(TABLE)).toBe(true);
    expect(world.copy(TABLE)).toBe(before);
    expect(before.check).toBe(table().check(table().lastIndex));
    expect(sinceRevisions()).toEqual([]);
  });

  it('and tells no digests is believed what it says has changed', async () => {
    world.link.tellsDigests = false;
    world.link.cut();
    world.write(TABLE, 20);
    table().firstIndex = table().lastIndex + 1;
    await world.clock.advance(5_000);
    expect(world.isSame(TABLE)).toBe(true);
    expect(sinceRevisions()).toEqual([BigInt(SEEN)]);
  });
});

type Step =
  | { readonly kind: 'write' | 'set back'; readonly count: number }
  | { readonly kind: 'cut the log' | 'break the streams' | 'wait' | 'another gateway' };

const count = fc.integer({ min: 1, max: 12 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom('write' as const, 'set back' as const), count }),
  fc.record({
    kind: fc.constantFrom(
      'cut the log' as const,
      'break the streams' as const,
      'wait' as const,
      'another gateway' as const,
    ),
  }),
);

async function take(one: LinkWorld, it: Step): Promise<void> {
  const log = one.leader.table(TABLE);
  switch (it.kind) {
    case 'write':
      return one.write(TABLE, it.count);
    case 'set back': {
      one.link.cut();
      const index = Math.max(0, log.lastIndex - it.count);
      log.firstIndex = Math.min(log.firstIndex, index + 1);
      return log.setBack(index);
    }
    case 'cut the log':
      log.firstIndex = log.lastIndex + 1;
      return;
    case 'break the streams':
      return one.link.cut();
    case 'wait':
      return one.clock.advance(700);
    case 'another gateway':
      await one.gateways.at(-1)?.stop();
      await one.start(`g${one.gateways.length}`);
  }
}

describe('whatever happens to a leader cluster', () => {
  it('its copy is equal once the log has grown past what the copy ever had', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), async (steps) => {
        const one = new LinkWorld();
        try {
          one.link.create(TABLE);
          await one.start('g0');
          let highest = 0;
          for (const it of steps) {
            await take(one, it);
            highest = Math.max(highest, one.leader.table(TABLE).lastIndex);
          }
          one.write(TABLE, highest - one.leader.table(TABLE).lastIndex + 3);
          await one.clock.advance(40_000);
          expect(one.isSame(TABLE)).toBe(true);
        } finally {
          await one.close();
        }
      }),
      { numRuns: 40 },
    );
  }, 240_000);
});
