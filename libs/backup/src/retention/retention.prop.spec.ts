/** No rule ever breaks a chain, deletes the newest ones, or keeps what nobody asked for. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Manifest, MANIFEST_FORMAT } from '../format/manifest.js';
import { makeBackupId } from '../format/names.js';
import { decideRetention } from './retention.js';

const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2026, 0, 5);

/** Backups so many hours apart; each adds to the one before or is a full one. */
const history = fc.array(
  fc.record({ hours: fc.integer({ min: 0, max: 60 }), full: fc.boolean() }),
  { maxLength: 60 },
);
const rules = fc.record({
  keepLast: fc.integer({ min: 1, max: 5 }),
  keepHourly: fc.nat(6),
  keepDaily: fc.nat(6),
  keepWeekly: fc.nat(4),
  unfinishedMs: fc.constant(24 * HOUR_MS),
});

function manifestsOf(steps: readonly { hours: number; full: boolean }[]): Manifest[] {
  const made: Manifest[] = [];
  let atMs = START_MS;
  for (const { hours, full } of steps) {
    atMs += hours * HOUR_MS + 1;
    const number = Buffer.alloc(4);
    number.writeUInt32BE(made.length);
    const parent = full ? null : (made.at(-1)?.id ?? null);
    const startedAt = new Date(atMs).toISOString();
    made.push({
      format: MANIFEST_FORMAT,
      id: makeBackupId(atMs, number),
      clusterId: 'x',
      kind: parent === null ? 'full' : 'incremental',
      parent,
      startedAt,
      finishedAt: startedAt,
      keyId: '',
      tables: [],
      goneTables: [],
    });
  }
  return made;
}

describe('retention', () => {
  it('keeps the newest ones, and with each backup all that it adds to', () => {
    fc.assert(
      fc.property(history, rules, (steps, given) => {
        const good = manifestsOf(steps);
        const listing = { good, unreadable: [], unfinished: [] };
        const decisions = decideRetention(listing, given, START_MS);
        const kept = new Set(decisions.filter(({ keep }) => keep).map(({ id }) => id));
        expect(decisions).toHaveLength(good.length);
        for (const { id } of good.slice(-given.keepLast)) expect(kept).toContain(id);
        for (const { id, parent } of good) {
          if (kept.has(id) && parent !== null) expect(kept).toContain(parent);
        }
        const { keepLast, keepHourly, keepDaily, keepWeekly } = given;
        const chosen = decisions.filter(
          ({ keep, reason }) => keep && !reason.includes('adds to it'),
        );
        expect(chosen.length).toBeLessThanOrEqual(keepLast + keepHourly + keepDaily + keepWeekly);
      }),
    );
  });

  it('keeps one for each of the newest days that have any', () => {
    fc.assert(
      fc.property(history, fc.integer({ min: 1, max: 9 }), (steps, keepDaily) => {
        const good = manifestsOf(steps.map(({ hours }) => ({ hours, full: true })));
        const given = { keepLast: 1, keepHourly: 0, keepDaily, keepWeekly: 0, unfinishedMs: 1 };
        const decisions = decideRetention(
          { good, unreadable: [], unfinished: [] },
          given,
          START_MS,
        );
        const dayOf = (id: string) => id.slice(0, 8);
        const kept = decisions.filter(({ keep }) => keep).map(({ id }) => dayOf(id));
        const days = [...new Set(good.map(({ id }) => dayOf(id)))].slice(-keepDaily);
        expect(kept.toReversed()).toEqual(days);
      }),
    );
  });

  it('decides against nothing older than a backup that cannot be read', () => {
    const good = manifestsOf(Array.from({ length: 9 }, () => ({ hours: 48, full: true })));
    const id = `${good[6]?.id.slice(0, -1)}f`;
    const listing = { good, unreadable: [{ id, reason: 'no key' }], unfinished: [] };
    const given = { keepLast: 1, keepHourly: 0, keepDaily: 0, keepWeekly: 0, unfinishedMs: 1 };
    const gone = decideRetention(listing, given, START_MS).filter(({ keep }) => !keep);
    expect(gone.map((each) => each.id)).toEqual([good[7]?.id]);
  });
});
