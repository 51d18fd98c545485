/** A guard compares tokens in a time that tells nothing, and refuses in the words of the contract. */
import type * as Crypto from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { bearerAuth } from './bearer-auth.js';
import { status } from './status.js';
import { type AuthorizeHook } from './transport.js';

const compared = vi.hoisted(() => vi.fn());
vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof Crypto>();
  return {
    ...crypto,
    timingSafeEqual: (one: Buffer, other: Buffer) => {
      compared(one.length, other.length);
      return crypto.timingSafeEqual(one, other);
    },
  };
});

const TOKEN = 'a token of 21 letters';

function ask(guard: AuthorizeHook, header: string | undefined): unknown {
  const metadata = { get: () => header };
  try {
    return guard({ metadata } as unknown as Parameters<AuthorizeHook>[0]);
  } catch (error) {
    return error;
  }
}

const refusal = (message: string) =>
  expect.objectContaining({ code: status.UNAUTHENTICATED, message }) as unknown;

describe('a bearer token', () => {
  const guard = bearerAuth(TOKEN);

  it('of any length is compared by the function of constant time, digest with digest', () => {
    for (let length = 0; length <= 3 * TOKEN.length; length++) {
      compared.mockClear();
      const given = TOKEN.repeat(3).slice(0, length);
      const isIt = given === TOKEN;
      expect(ask(guard, `Bearer ${given}`)).toEqual(isIt ? undefined : refusal('Invalid token'));
      expect(compared.mock.calls, `${length} letters`).toEqual([[32, 32]]);
    }
  });

  it.each([
    [undefined, 'Request unauthenticated with bearer'],
    [`Basic ${TOKEN}`, 'Request unauthenticated with bearer'],
    ['Bearer', 'Bad authorization string'],
    ['Bearer ', 'Invalid token'],
    [`Bearer  ${TOKEN}`, 'Invalid token'],
    [`Bearer ${TOKEN} `, 'Invalid token'],
    [`Bearer ${TOKEN.toUpperCase()}`, 'Invalid token'],
  ])('%j is refused with "%s"', (header, text) => {
    expect(ask(guard, header)).toEqual(refusal(text));
  });

  it('is taken whatever the case of the scheme, and not asked for where there is none', () => {
    expect(ask(guard, `bEaReR ${TOKEN}`)).toBeUndefined();
    compared.mockClear();
    expect(ask(bearerAuth(''), undefined)).toBeUndefined();
    expect(compared).not.toHaveBeenCalled();
  });
});
