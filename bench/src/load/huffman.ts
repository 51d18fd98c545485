/**
 * Huffman-coded texts of HPACK (RFC 7541, appendix B), as far as headers of gRPC answers need them.
 *
 * The code is canonical: of each length the codes are consecutive, in the order of the characters. So
 * the lengths say it all. Only codes of up to 15 bits are known here, which is all of printable ASCII
 * but the backslash; a text with anything else is refused by name.
 */
const LENGTH_MAX = 15;

/** Characters by the length of their code, in the order of their codes. */
const BY_LENGTH: ReadonlyMap<number, string> = new Map([
  [5, '012aceiost'],
  [6, ' %-./3456789=A_bdfghlmnpru'],
  [7, ':BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz'],
  [8, '&*,;XZ'],
  [10, '!"()?'],
  [11, "'+|"],
  [12, '#>'],
  [13, '\0$@[]~'],
  [14, '^}'],
  [15, '<`{'],
]);

interface CodesOfLength {
  /** The first code of this length, as a number. */
  readonly first: number;
  readonly characters: string;
}

const CODES = canonicalCodes();

function canonicalCodes(): readonly CodesOfLength[] {
  const codes: CodesOfLength[] = [];
  let first = 0;
  for (let length = 0; length <= LENGTH_MAX; length++) {
    const characters = BY_LENGTH.get(length) ?? '';
    codes.push({ first, characters });
    first = (first + characters.length) * 2;
  }
  return codes;
}

/** Throws on a character that this client does not know. */
export function decodeHuffman(bytes: Uint8Array): string {
  let text = '';
  let code = 0;
  let length = 0;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      code = code * 2 + ((byte >> bit) & 1);
      length++;
      const { first, characters } = CODES[length] ?? { first: 0, characters: '' };
      if (length > LENGTH_MAX) throw new Error('a header has a character that is not known here');
      if (code - first >= characters.length) continue;
      text += characters[code - first];
      code = 0;
      length = 0;
    }
  }
  // What is left is padding: less than a byte of ones.
  if (length > 7 || code !== 2 ** length - 1) throw new Error('a Huffman-coded text ends badly');
  return text;
}
