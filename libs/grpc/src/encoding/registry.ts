/**
 * The encodings that a server has, by the name that travels in `grpc-encoding`.
 *
 * In: header values. Out: the encoding to unpack requests and the one to pack answers with.
 *
 * Must never choose an encoding that the other side has not shown to know.
 */
import { type MessageEncoding } from './encoding.js';
import { gzip } from './gzip.js';
import { identity } from './identity.js';
import { snappy } from './snappy-framed.js';
import { zstd } from './zstd.js';

const ENCODINGS: ReadonlyMap<string, MessageEncoding> = new Map(
  [identity, gzip, snappy, zstd].map((encoding) => [encoding.name, encoding]),
);

/** What `grpc-accept-encoding` announces. */
export const ACCEPTED_ENCODINGS = [...ENCODINGS.keys()].join(',');

/** The encoding of a name; undefined when there is none. No name at all means identity. */
export function findEncoding(name: string | undefined): MessageEncoding | undefined {
  return name === undefined || name === '' ? identity : ENCODINGS.get(name);
}

/**
 * The encoding of the answers: the first of the preferred ones that the client's list has; else that of
 * the request, if the list has it. A client without a list can at least read what it writes.
 */
export function answerEncoding(
  request: MessageEncoding,
  accepted: string | undefined,
  preferred: readonly string[] = [],
): MessageEncoding {
  if (accepted === undefined || (request === identity && preferred.length === 0)) {
    return request;
  }
  const names = accepted.split(',').map((name) => name.trim());
  const name = preferred.find((each) => names.includes(each)) ?? request.name;
  return names.includes(name) ? (ENCODINGS.get(name) ?? identity) : identity;
}
