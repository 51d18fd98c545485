/**
 * Who may have a lease, by what stands in the catalog and the time that comes with the wish.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeRow,
  deleteCommand,
  encodeRow,
  leaseKey,
  newRow,
  touchedKeys,
} from '../catalog/catalog-rows.js';
import { type LeaseInfo } from '../catalog/catalog-state.js';
import { leaseGivenBack, leaseTaken, leaseUnder } from './lease-rules.js';

const TTL_MS = 1_000;

function held(holder: string, token: number, expiresAtMs: number): LeaseInfo {
  return { holder, token, expiresAtMs, session: 0, stored: Buffer.alloc(0) };
}

const take = (current: LeaseInfo | undefined, holder: string, token: number, nowMs: number) =>
  leaseTaken(current, { holder, token, ttlMs: TTL_MS }, nowMs);

describe('a lease for a time', () => {
  it('that nobody ever had begins with token 1', () => {
    expect(take(undefined, 'a', 0, 500)).toEqual({
      holder: 'a',
      token: 1n,
      expiresAtMs: 1_500n,
      session: 0n,
    });
  });

  it('is not another’s before it ran out, and then with the next token', () => {
    const current = held('a', 4, 1_000);
    expect(take(current, 'b', 0, 999)).toBeUndefined();
    expect(take(current, 'b', 0, 1_000)).toMatchObject({ holder: 'b', token: 5n });
  });

  it('is held on to with its token, also late as long as nobody took it, and with no other one', () => {
    const current = held('a', 4, 1_000);
    expect(take(current, 'a', 4, 1_900)).toMatchObject({ token: 4n, expiresAtMs: 2_900n });
    expect(take(current, 'a', 3, 500)).toBeUndefined();
    expect(take(current, 'b', 4, 1_900)).toBeUndefined();
    expect(take(undefined, 'a', 4, 500)).toBeUndefined();
  });

  it('a holder that asks anew gets a new token, so that what it sent before is refused', () => {
    expect(take(held('a', 4, 1_000), 'a', 0, 500)).toMatchObject({ token: 5n });
  });

  it('given back is anybody’s, and its tokens go on', () => {
    expect(take(held('', 4, 0), 'b', 0, 0)).toMatchObject({ holder: 'b', token: 5n });
    expect(take(held('', 4, 0), 'a', 4, 0)).toBeUndefined();
  });

  it('tokens never go back, and no token is ever two holders’, whatever the clocks say', () => {
    const wish = fc.record({
      holder: fc.constantFrom('a', 'b', 'c'),
      isRenewal: fc.boolean(),
      nowMs: fc.integer({ min: 0, max: 5_000 }),
    });
    fc.assert(
      fc.property(fc.array(wish, { maxLength: 60 }), (wishes) => {
        let current: LeaseInfo | undefined;
        const owners = new Map<number, string>();
        const own = new Map<string, number>();
        for (const { holder, isRenewal, nowMs } of wishes) {
          const row = take(current, holder, isRenewal ? (own.get(holder) ?? 0) : 0, nowMs);
          if (!row) continue;
          const token = Number(row.token);
          expect(token).toBeGreaterThanOrEqual(current?.token ?? 0);
          expect(owners.get(token) ?? holder).toBe(holder);
          owners.set(token, holder);
          own.set(holder, token);
          current = held(holder, token, Number(row.expiresAtMs));
        }
      }),
    );
  });
});

describe('a lease under a session', () => {
  const alive = () => true;
  const over = () => false;
  const b = { holder: 'b', session: 7 };

  it('goes to another one only when its session is over, with the next token', () => {
    const current = { ...held('a', 4, 0), session: 3 };
    expect(leaseUnder(current, b, alive)).toBeUndefined();
    expect(leaseUnder(current, b, over)).toEqual({
      holder: 'b',
      token: 5n,
      expiresAtMs: 0n,
      session: 7n,
    });
  });

  it('has a new token each time it is taken, also by who has it, or had it before', () => {
    expect(leaseUnder(undefined, b, alive)).toMatchObject({ token: 1n });
    expect(leaseUnder({ ...held('b', 4, 0), session: 7 }, b, alive)).toMatchObject({ token: 5n });
    const givenBack = leaseGivenBack(held('b', 4, 0), { holder: 'b', token: 4 });
    expect(givenBack).toMatchObject({ holder: '', token: 4n });
    expect(leaseUnder(held('', 4, 0), b, alive)).toMatchObject({ token: 5n });
  });

  it('is given back by its holder with its token alone', () => {
    expect(leaseGivenBack(held('a', 4, 0), { holder: 'a', token: 3 })).toBeUndefined();
    expect(leaseGivenBack(held('a', 4, 0), { holder: 'b', token: 4 })).toBeUndefined();
    expect(leaseGivenBack(undefined, { holder: 'a', token: 4 })).toBeUndefined();
  });
});

describe('a copy in the catalog', () => {
  it('keeps its source in its row, and takes its lease with it when it is deleted', () => {
    const source = { tableId: 12, epoch: 34 };
    const row = newRow('t', 10_001n, [1], 1, source);
    expect(decodeRow(encodeRow(row)).source).toEqual({ tableId: 12n, epoch: 34n });
    const keys = (stored: Buffer) => touchedKeys(deleteCommand(stored)).map(String);
    expect(keys(encodeRow(row))).toContain(String(leaseKey(10_001)));
    expect(keys(encodeRow(newRow('t', 10_001n, [1], 1)))).not.toContain(String(leaseKey(10_001)));
  });
});
