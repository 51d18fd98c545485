/**
 * How keys and values pass between the port and LMDB: as bytes, copied once each way.
 *
 * In: keys and values of the port. Out: stored keys, which begin with one byte of our own because
 * LMDB knows no empty key, and copies of what is read. The library hands out one buffer that its next
 * call overwrites: nothing here may keep it, nor give out a part of it.
 */
const ROW_AREA = 0x00;
const NOTE_AREA = 0x01;

/** The key of a row that is the adapter's own, behind all rows of the port. */
export class NoteKey extends Uint8Array {}

export const KEY_CODEC = {
  /** Throws a RangeError where the key does not fit, as the library expects. */
  writeKey(key: Uint8Array, target: Uint8Array, at: number): number {
    target[at] = key instanceof NoteKey ? NOTE_AREA : ROW_AREA;
    target.set(key, at + 1);
    return at + 1 + key.length;
  },
  readKey(source: Uint8Array, start: number, end: number): Buffer {
    return copyOf(source, start + 1, end);
  },
};

export const VALUE_CODEC = {
  encode: (value: Uint8Array): Uint8Array => value,
  /** The length of the buffer is that of the value, although it goes on behind it. */
  decode: (shared: Uint8Array): Buffer => copyOf(shared, 0, shared.length),
};

function copyOf(source: Uint8Array, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - start);
  copy.set(new Uint8Array(source.buffer, source.byteOffset + start, end - start));
  return copy;
}
