/**
 * Waits for revisions against a model: whoever waits for what has come is never left waiting.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RevisionWaits, type CopyPosition, type WaitEnd } from './revision-waits.js';

/** Time that passes when the test says so. */
class Clock {
  private now = 0;
  private readonly tasks = new Set<{ atMs: number; task: () => void }>();
  nowMs = () => this.now;
  after = (delayMs: number, task: () => void) => {
    const entry = { atMs: this.now + delayMs, task };
    this.tasks.add(entry);
    return () => void this.tasks.delete(entry);
  };
  get open(): number {
    return this.tasks.size;
  }
  pass(ms: number): void {
    this.now += ms;
    for (const entry of [...this.tasks]) {
      if (entry.atMs > this.now || !this.tasks.delete(entry)) continue;
      entry.task();
    }
  }
}

type Step =
  | { kind: 'wait'; revision: number; leaderTableId: number; ms: number }
  | { kind: 'apply'; by: number }
  | { kind: 'pass'; ms: number }
  | { kind: 'other-table' }
  | { kind: 'gone' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      revision: fc.integer({ min: 0, max: 30 }),
      leaderTableId: fc.constantFrom(0, 1, 2),
      ms: fc.integer({ min: 0, max: 20 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('apply' as const),
      by: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('pass' as const),
      ms: fc.integer({ min: 1, max: 10 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'other-table' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'gone' as const }) },
);

describe('waits for revisions', () => {
  it('B6: each ends in the turn in which its revision came, its time was over, or the copy changed', async () => {
    const run = async (steps: readonly Step[]): Promise<void> => {
      const clock = new Clock();
      let at: CopyPosition = { revision: 0, leaderTableId: 1 };
      const waits = new RevisionWaits(clock, () => at);
      const open: { revision: number; id: number; untilMs: number; end: WaitEnd | undefined }[] =
        [];
      const expectEnds = async (how: (one: (typeof open)[number]) => WaitEnd | undefined) => {
        const expected = open.map(how);
        await Promise.resolve();
        expect(open.map(({ end }) => end)).toEqual(expected);
        open.splice(0, open.length, ...open.filter(({ end }) => end === undefined));
        expect(clock.open).toBe(open.length);
      };
      const reached = ({ revision, id }: { revision: number; id: number }) =>
        revision <= at.revision && (id === 0 || id === at.leaderTableId);
      for (const one of steps) {
        if (one.kind === 'wait') {
          const { revision, leaderTableId: id, ms } = one;
          const entry = {
            revision,
            id,
            untilMs: clock.nowMs() + ms,
            end: undefined as WaitEnd | undefined,
          };
          open.push(entry);
          void waits
            .wait({ table: 't', revision, leaderTableId: id }, entry.untilMs)
            .then((end) => (entry.end = end));
          await expectEnds((each) =>
            each !== entry ? undefined : reached(each) ? 'reached' : ms === 0 ? 'late' : undefined,
          );
        } else if (one.kind === 'apply') {
          at = { ...at, revision: at.revision + one.by };
          waits.advanced('t', at);
          await expectEnds((each) => (reached(each) ? 'reached' : undefined));
        } else if (one.kind === 'pass') {
          clock.pass(one.ms);
          await expectEnds((each) => (each.untilMs <= clock.nowMs() ? 'late' : undefined));
        } else if (one.kind === 'other-table') {
          at = { revision: 0, leaderTableId: 3 - at.leaderTableId };
          waits.changed('t');
          await expectEnds(() => 'changed');
        } else {
          waits.changed('another');
          await expectEnds(() => undefined);
        }
      }
    };
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), run), { numRuns: 300 });
  });

  it('a caller that gives up leaves nothing behind', async () => {
    const clock = new Clock();
    const waits = new RevisionWaits(clock, () => undefined);
    const gone = new AbortController();
    const end = waits.wait({ table: 't', revision: 1, leaderTableId: 0 }, 1_000, gone.signal);
    gone.abort();
    expect(await end).toBe('late');
    expect(clock.open).toBe(0);
  });

  it('a node that stops lets everybody go, and nobody waits afterwards', async () => {
    const clock = new Clock();
    const waits = new RevisionWaits(clock, () => undefined);
    const wanted = { table: 't', revision: 1, leaderTableId: 0 };
    const open = [waits.wait(wanted, 1_000), waits.wait({ ...wanted, table: 'u' }, 1_000)];
    waits.close();
    expect(await Promise.all([...open, waits.wait(wanted, 1_000)])).toEqual([
      'late',
      'late',
      'late',
    ]);
    expect(clock.open).toBe(0);
  });

  it('has a bounded number of places, and each is given back once', () => {
    const waits = new RevisionWaits(new Clock(), () => undefined, 2);
    const [first, second] = [waits.takePlace(), waits.takePlace()];
    expect(waits.takePlace()).toBeUndefined();
    first?.();
    first?.();
    expect(waits.waiting).toBe(1);
    expect(waits.takePlace()).toBeDefined();
    expect(waits.takePlace()).toBeUndefined();
    second?.();
  });
});
