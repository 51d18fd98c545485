/**
 * What is written under the keys: a short name nobody else uses, followed by as many bytes as the name
 * decides. Sizes differ, so that log entries and rows do; every byte can be checked when it is read.
 */

const SMALL_BYTES_MAX = 200;
const LARGE_BYTES = 16 * 1024;
/** One value in so many is large. */
const LARGE_EVERY = 64;
/** In no name. */
const FILL = '~';

export function writeValue(name: string): Buffer {
  return Buffer.from(name + FILL.repeat(fillBytes(name)));
}

/** The name, or undefined if these are not the bytes that were written with it. */
export function readValue(bytes: Buffer): string | undefined {
  const text = bytes.toString('latin1');
  const end = text.indexOf(FILL);
  const name = end < 0 ? text : text.slice(0, end);
  return writeValue(name).equals(bytes) ? name : undefined;
}

function fillBytes(name: string): number {
  let hash = 2_166_136_261;
  for (let at = 0; at < name.length; at++) {
    hash = Math.imul(hash ^ name.charCodeAt(at), 16_777_619) >>> 0;
  }
  return hash % LARGE_EVERY === 0 ? LARGE_BYTES : hash % SMALL_BYTES_MAX;
}
