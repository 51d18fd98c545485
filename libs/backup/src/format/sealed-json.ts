/**
 * JSON that knows whether it is whole: its last fields are a hash over all others, and the proof of the
 * key where there is one.
 *
 * In: a plain object. Out: bytes, and back. One flipped bit anywhere is found: it is in the hash, in a
 * field, or makes the text no JSON.
 */
import { timingSafeEqual } from 'node:crypto';
import { damaged } from '../backup-error.js';
import { sha256Of } from './chunk-codec.js';
import { type BackupKey, proofOf } from './key-ring.js';

export type PlainObject = Readonly<Record<string, unknown>>;

export function sealJson(body: object, key: BackupKey | undefined): Buffer {
  const text = JSON.stringify(body);
  const seal = { sha256: sha256Of(text), ...(key && { proof: proofOf(key, text) }) };
  return Buffer.from(`${JSON.stringify({ ...body, ...seal }, undefined, 1)}\n`);
}

/** The object without its seal. `keyOf` is given the object and says which key it has to prove. */
export function openJson(
  bytes: Buffer,
  object: string,
  keyOf: (body: PlainObject) => BackupKey | undefined,
): PlainObject {
  const parsed = parse(bytes, object);
  const { sha256, proof, ...body } = parsed;
  const text = JSON.stringify(body);
  if (sha256 !== sha256Of(text)) throw damaged(object, 'its SHA-256 is another one');
  const key = keyOf(body);
  if (key && !isSame(proof, proofOf(key, text))) {
    throw damaged(object, `it was not written with key ${key.id}`);
  }
  // What is written again has to be what was read: nothing hides between the fields.
  if (!sealJson(body, key).equals(bytes)) throw damaged(object, 'it is not as it was written');
  return body;
}

function parse(bytes: Buffer, object: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw damaged(object, 'it is no JSON', error);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw damaged(object, 'it is no JSON object');
  }
  return parsed as Record<string, unknown>;
}

function isSame(given: unknown, due: string): boolean {
  if (typeof given !== 'string') return false;
  // A damaged string of the same length may have more bytes.
  const [found, expected] = [Buffer.from(given), Buffer.from(due)];
  return found.length === expected.length && timingSafeEqual(found, expected);
}
