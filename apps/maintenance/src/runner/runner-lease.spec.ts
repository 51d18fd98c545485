/** Several apps and one lease, on a clock that the test turns. */
import { SILENT_LOGGER } from '@flotilla/platform';
import { Registry } from 'prom-client';
import { afterEach, describe, expect, it } from 'vitest';
import { OneLease, TurnedClock } from '../../test/support/lease-bench.js';
import { type Leases } from './node-leases.js';
import { ASK_AGAIN_MS, LEASE_TTL_MS, POLL_MS, PURPOSES, RunnerLease } from './runner-lease.js';
import { exposeRunner } from './runner-metrics.js';

const apps: RunnerLease[] = [];
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
});

function start(names = ['a', 'b'], prepare: (leases: OneLease) => void = () => undefined) {
  const clock = new TurnedClock();
  const leases = new OneLease(clock);
  prepare(leases);
  const started = names.map((holder) => {
    const purpose = PURPOSES.schedule;
    const app = new RunnerLease({ purpose, leases, holder, clock, logger: SILENT_LOGGER });
    app.start();
    return app;
  });
  apps.push(...started);
  const runners = () => started.filter(({ isRunner }) => isRunner).map(({ holder }) => holder);
  return { clock, leases, started, runners };
}

describe('the lease of the schedule', () => {
  it('is held by one app, however long it lasts, with one token', async () => {
    const { clock, leases, runners } = start(['a', 'b', 'c']);
    for (let minute = 0; minute < 5; minute++) {
      await clock.advance(60_000);
      expect(runners()).toEqual(['a']);
    }
    expect(leases.token).toBe(1);
  });

  it('moves within seconds when its holder dies, and the token grows', async () => {
    const { clock, leases, started, runners } = start();
    await clock.advance(10_000);
    expect(runners()).toEqual(['a']);
    // It says nothing any more, and does not give the lease back.
    leases.unheard.add('a');
    void started[0]?.close();
    leases.untilMs = clock.nowMs() + LEASE_TTL_MS;
    leases.holder = 'a';
    await clock.advance(LEASE_TTL_MS + POLL_MS);
    expect(runners()).toEqual(['b']);
    expect(started[1]?.turn?.token).toBe(2);
  });

  it('is given back by an app that stops, so that another one has it at the next look', async () => {
    const { clock, started, runners } = start();
    await clock.advance(10_000);
    await started[0]?.close();
    expect(runners()).toEqual([]);
    await clock.advance(POLL_MS);
    expect(runners()).toEqual(['b']);
  });

  it('ends by the clock of its holder before anybody else can have it', async () => {
    const { clock, leases, started, runners } = start();
    await clock.advance(10_000);
    const signal = started[0]?.turn?.signal;
    const told: boolean[] = [];
    started[0]?.onChange((turn) => told.push(turn !== undefined));
    leases.isReached = false;
    for (let passedMs = 0; passedMs < 2 * LEASE_TTL_MS; passedMs += 250) {
      await clock.advance(250);
      if (clock.nowMs() >= leases.untilMs) expect(runners()).toEqual([]);
    }
    expect(signal?.aborted).toBe(true);
    expect(told).toEqual([false]);
    leases.isReached = true;
    await clock.advance(1_000);
    expect(runners()).toHaveLength(1);
  });

  it('is not believed in by a process that slept through its end, before any timer has fired', async () => {
    const { clock, runners } = start(['a']);
    await clock.advance(10_000);
    expect(runners()).toEqual(['a']);
    clock.pass(LEASE_TTL_MS);
    expect(runners()).toEqual([]);
  });

  it('that was taken by a call whose answer was lost is held on to with its token', async () => {
    const { clock, leases, runners, started } = start(['a'], ({ unheard }) => {
      unheard.add('a');
    });
    await clock.advance(1_000);
    expect(runners()).toEqual([]);
    expect(leases.holder).toBe('a');
    leases.unheard.clear();
    await clock.advance(1_000);
    expect(runners()).toEqual(['a']);
    expect(started[0]?.turn?.token).toBe(1);
  });

  it('is not waited for where nodes know none, and taken once they do', async () => {
    const { clock, leases, runners, started } = start(['a', 'b'], (each) => {
      each.isServed = false;
    });
    await clock.advance(1_000);
    expect(runners()).toEqual(['a', 'b']);
    expect(started[0]?.turn?.token).toBeUndefined();
    leases.isServed = true;
    await clock.advance(ASK_AGAIN_MS);
    expect(runners()).toEqual(['a']);
    expect(started[0]?.turn?.token).toBe(1);
    // In a cluster of old and new nodes one may say so again: that frees nobody.
    leases.isServed = false;
    await clock.advance(2 * LEASE_TTL_MS);
    expect(runners()).toEqual([]);
  });

  it('is one of its own for each purpose: who ships logs keeps nobody from the schedule', async () => {
    const clock = new TurnedClock();
    const of = new Map<string, OneLease>();
    const leaseOf = (purpose: string) => {
      const lease = of.get(purpose) ?? new OneLease(clock);
      of.set(purpose, lease);
      return lease;
    };
    const leases: Leases = {
      acquire: (wish) => leaseOf(wish.purpose).acquire(wish),
      release: (wish) => leaseOf(wish.purpose).release(wish),
    };
    const [shipper, scheduler] = [PURPOSES.shipping, PURPOSES.schedule].map((purpose, at) => {
      const holder = `${at}`;
      const app = new RunnerLease({ purpose, leases, holder, clock, logger: SILENT_LOGGER });
      app.start();
      apps.push(app);
      return app;
    });
    await clock.advance(60_000);
    expect([shipper?.isRunner, scheduler?.isRunner]).toEqual([true, true]);
    await shipper?.close();
    const heldUntil = [...of].map(([purpose, { untilMs }]) => [purpose, untilMs > clock.nowMs()]);
    expect(new Map(heldUntil as [string, boolean][])).toEqual(
      new Map([
        ['log-shipping', false],
        ['backups', true],
      ]),
    );
  });

  it('costs one call every few seconds, of its holder and of each that stands by', async () => {
    const { clock, leases } = start();
    await clock.advance(60_000);
    expect(leases.asked).toBeLessThanOrEqual(60 / 3 + 60 / 2 + 4);
  });

  it('is told by a metric of each app', async () => {
    const { clock, started } = start();
    await clock.advance(1_000);
    const texts = started.map(async (app) => {
      const registry = new Registry();
      exposeRunner(registry, app);
      return (await registry.metrics()).match(/^flotilla_backup_schedule_holder (\d)$/m)?.[1];
    });
    expect(await Promise.all(texts)).toEqual(['1', '0']);
  });
});
