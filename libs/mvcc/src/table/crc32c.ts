/**
 * CRC-32C (Castagnoli), eight bytes at a time: pure, so that it can stand where no library may.
 */
const POLYNOMIAL = 0x82f63b78;
const SLICES = 8;

const TABLES = makeTables();

/** The checksum of `bytes` after something whose checksum was `previous`; 0 for nothing before. */
export function crc32c(bytes: Uint8Array, previous = 0): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = TABLES;
  let crc = ~previous;
  let at = 0;
  const wide = bytes.length - (bytes.length % SLICES);
  for (; at < wide; at += SLICES) {
    const low =
      crc ^
      (byte(bytes, at) |
        (byte(bytes, at + 1) << 8) |
        (byte(bytes, at + 2) << 16) |
        (byte(bytes, at + 3) << 24));
    crc =
      word(t7, low & 0xff) ^
      word(t6, (low >>> 8) & 0xff) ^
      word(t5, (low >>> 16) & 0xff) ^
      word(t4, low >>> 24) ^
      word(t3, byte(bytes, at + 4)) ^
      word(t2, byte(bytes, at + 5)) ^
      word(t1, byte(bytes, at + 6)) ^
      word(t0, byte(bytes, at + 7));
  }
  for (; at < bytes.length; at++) crc = word(t0, (crc ^ byte(bytes, at)) & 0xff) ^ (crc >>> 8);
  return ~crc >>> 0;
}

type Table = Int32Array;

function makeTables(): readonly [Table, Table, Table, Table, Table, Table, Table, Table] {
  const table = () => new Int32Array(256);
  const tables = [table(), table(), table(), table(), table(), table(), table(), table()] as const;
  for (let value = 0; value < 256; value++) {
    let crc = value;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    tables[0][value] = crc;
  }
  for (let slice = 1; slice < SLICES; slice++) {
    const [before, now] = [tables[slice - 1], tables[slice]];
    if (!before || !now) continue;
    for (let value = 0; value < 256; value++) {
      const crc = word(before, value);
      now[value] = word(tables[0], crc & 0xff) ^ (crc >>> 8);
    }
  }
  return tables;
}

function word(table: Table, at: number): number {
  return table[at] ?? 0;
}

function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}
