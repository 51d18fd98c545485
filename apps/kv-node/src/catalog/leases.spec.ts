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
} from './catalog-rows.js';
import { type LeaseInfo } from './catalog-state.js';
import { leaseTaken } from './leases.js';

const TTL_MS = 1_000;

function held(holder: string, token: number, expiresAtMs: number): LeaseInfo {
  return { holder, token, expiresAtMs, stored: Buffer.alloc(0) };
}

const take = (current: LeaseInfo | undefined, holder: string, token: number, nowMs: number) =>
  leaseTaken(current, { holder, token, ttlMs: TTL_MS }, nowMs);

describe('a lease', () => {
  it('that nobody ever had begins with token 1', () => {
    expect(take(undefined, 'a', 0, 500)).toEqual({ holder: 'a', token: 1n, expiresAtMs: 1_500n });
  });

  it('is not another’s before it ran out, and then with the next token', () => {
    const current = held('a', 4, 1_000);
    expect(take(current, 'b', 0, 999)).toBeUndefined();
    expect(take(current, 'b', 0, 1_000)).toMatchObject({ holder: 'b', token: 5n });
  });

  it('is held on to with its token, also late as long as nobody took it, and with no other one', () => {
    const current = held('a', 4, 1_000);
    expect(take(current, 'a', 4, 1_900)).toEqual({ holder: 'a', token: 4n, expiresAtMs: 2_900n });
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
