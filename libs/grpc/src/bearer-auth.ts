/**
 * A guard that asks for a bearer token.
 *
 * In: the token of the configuration and the `authorization` header of a call. Out: nothing, or
 * Unauthenticated in the words that clients of Regatta know.
 *
 * Must never compare tokens in a time that tells how much of one was right.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { GrpcStatusError, status } from './status.js';
import { type AuthorizeHook } from './transport.js';

const SCHEME = 'bearer';

/** With an empty token nothing is checked. */
export function bearerAuth(token: string): AuthorizeHook {
  if (token === '') {
    return () => undefined;
  }
  const expected = digest(token);
  return (call) => {
    const header = call.metadata.get('authorization');
    if (header === undefined) {
      throw unauthenticated(`Request unauthenticated with ${SCHEME}`);
    }
    const space = header.indexOf(' ');
    if (space < 0) {
      throw unauthenticated('Bad authorization string');
    }
    if (header.slice(0, space).toLowerCase() !== SCHEME) {
      throw unauthenticated(`Request unauthenticated with ${SCHEME}`);
    }
    if (!timingSafeEqual(digest(header.slice(space + 1)), expected)) {
      throw unauthenticated('Invalid token');
    }
  };
}

/** Digests have one length, so their comparison does not tell that of the token. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest();
}

function unauthenticated(text: string): GrpcStatusError {
  return new GrpcStatusError(status.UNAUTHENTICATED, text);
}
