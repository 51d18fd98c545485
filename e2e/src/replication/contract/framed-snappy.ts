/**
 * The framed stream format of snappy, unpacked by hand (framing_format.txt and format_description.txt of
 * the snappy project).
 *
 * In: a whole stream. Out: its plain bytes. Strict: every checksum is compared, every length too.
 */

const IDENTIFIER = Buffer.from('ff060000734e61507059', 'hex');
const HEADER_BYTES = 4;
const CHUNK_PLAIN_BYTES_MAX = 65_536;
const CRC32C_POLYNOMIAL = 0x82f63b78;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ CRC32C_POLYNOMIAL : crc >>> 1;
  return crc >>> 0;
});

export function unpackFramed(stream: Buffer): Buffer {
  if (!stream.subarray(0, IDENTIFIER.length).equals(IDENTIFIER)) {
    throw new Error('a stream does not begin with the identifier of framed snappy');
  }
  const plain: Buffer[] = [];
  for (let at = IDENTIFIER.length; at < stream.length;) {
    if (at + HEADER_BYTES > stream.length) throw new Error('a stream ends within a chunk header');
    const type = stream.readUInt8(at);
    const end = at + HEADER_BYTES + stream.readUIntLE(at + 1, 3);
    if (end > stream.length) throw new Error('a stream ends within a chunk');
    const body = stream.subarray(at + HEADER_BYTES, end);
    if (type === 0x00 || type === 0x01) plain.push(chunk(type, body));
    else if (type < 0x80) throw new Error(`a chunk is of type ${type}`);
    at = end;
  }
  return Buffer.concat(plain);
}

function chunk(type: number, body: Buffer): Buffer {
  const packed = body.subarray(4);
  const plain = type === 0x01 ? packed : unpackBlock(packed);
  if (plain.length > CHUNK_PLAIN_BYTES_MAX) throw new Error(`a chunk has ${plain.length} bytes`);
  if (body.readUInt32LE(0) !== maskedCrc(plain)) throw new Error('a checksum does not match');
  return plain;
}

function maskedCrc(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  crc = ~crc >>> 0;
  return ((((crc >>> 15) | (crc << 17)) >>> 0) + 0xa282ead8) >>> 0;
}

/** A block: its plain length, then literals and copies of what came before. */
function unpackBlock(block: Buffer): Buffer {
  let at = 0;
  const next = (): number => {
    const byte = block[at++];
    if (byte === undefined) throw new Error('a block ends too soon');
    return byte;
  };
  const little = (bytes: number): number => {
    let value = 0;
    for (let nth = 0; nth < bytes; nth++) value += next() * 2 ** (8 * nth);
    return value;
  };
  let length = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = next();
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  if (length > CHUNK_PLAIN_BYTES_MAX) throw new Error(`a block claims ${length} bytes`);
  const out = Buffer.alloc(length);
  let to = 0;
  while (at < block.length) {
    const tag = next();
    if ((tag & 3) === 0) {
      const short = tag >>> 2;
      const bytes = 1 + (short < 60 ? short : little(short - 59));
      if (at + bytes > block.length) throw new Error('a literal ends too soon');
      to += block.copy(out, to, at, at + bytes);
      at += bytes;
      continue;
    }
    const isNear = (tag & 3) === 1;
    const bytes = isNear ? 4 + ((tag >>> 2) & 7) : 1 + (tag >>> 2);
    const back = isNear ? ((tag >>> 5) << 8) + next() : little((tag & 3) === 2 ? 2 : 4);
    if (back === 0 || back > to) throw new Error(`a copy reaches back ${back} bytes of ${to}`);
    for (let nth = 0; nth < bytes; nth++, to++) out[to] = out[to - back] ?? 0;
  }
  if (to !== length) throw new Error(`a block of ${length} bytes has ${to}`);
  return out;
}
