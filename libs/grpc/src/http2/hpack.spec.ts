/** HPACK and its Huffman code: the examples of RFC 7541 (appendix C), and what must be refused. */
import { describe, expect, it } from 'vitest';
import { HpackDecoder } from './hpack-decoder.js';
import { HpackEncoder } from './hpack-encoder.js';
import { huffmanBytes, huffmanDecode, huffmanEncode } from './huffman.js';

type Fields = [name: string, value: string][];

function decode(decoder: HpackDecoder, hex: string): Fields {
  const block = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  const fields: Fields = [];
  decoder.decode(block, 0, block.length, { field: (name, value) => fields.push([name, value]) });
  return fields;
}

const FIRST: Fields = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'www.example.com'],
];
const SECOND: Fields = [...FIRST, ['cache-control', 'no-cache']];
const THIRD: Fields = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':path', '/index.html'],
  [':authority', 'www.example.com'],
  ['custom-key', 'custom-value'],
];

describe('RFC 7541, appendix C', () => {
  it('C.2: a literal that is kept, one that is not, one that never is, and an index', () => {
    const decoder = new HpackDecoder();
    const kept = '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572';
    expect(decode(decoder, kept)).toEqual([['custom-key', 'custom-header']]);
    expect(decoder.tableBytes).toBe(55);
    const path = '040c 2f73 616d 706c 652f 7061 7468';
    expect(decode(decoder, path)).toEqual([[':path', '/sample/path']]);
    const password = '1008 7061 7373 776f 7264 0673 6563 7265 74';
    expect(decode(decoder, password)).toEqual([['password', 'secret']]);
    expect(decoder.tableBytes).toBe(55);
    expect(decode(decoder, '82')).toEqual([[':method', 'GET']]);
    expect(decoder.onlyIndexed).toBe(true);
  });

  it.each([
    [
      'C.3: plain',
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ],
    [
      'C.4: Huffman-coded',
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ],
  ])('%s requests on one connection', (_title, first, second, third) => {
    const decoder = new HpackDecoder();
    expect(decode(decoder, first)).toEqual(FIRST);
    expect(decoder.tableBytes).toBe(57);
    expect(decode(decoder, second)).toEqual(SECOND);
    expect(decoder.tableBytes).toBe(110);
    expect(decode(decoder, third)).toEqual(THIRD);
    expect(decoder.tableBytes).toBe(164);
  });
});

describe('Huffman', () => {
  it('gives every string of one or two bytes back, with as many bytes as it said', () => {
    for (let first = 0; first < 256; first++) {
      for (const second of [undefined, 0, 48, 97, 127, 128, 255, first]) {
        const text = String.fromCharCode(...(second === undefined ? [first] : [first, second]));
        const encoded = Buffer.alloc(16);
        const end = huffmanEncode(text, encoded, 0);
        expect(end).toBe(huffmanBytes(text));
        const decoded = Buffer.alloc(32);
        const length = huffmanDecode(encoded, 0, end, decoded);
        expect(decoded.toString('latin1', 0, length)).toBe(text);
      }
    }
  });

  it.each([
    ['padding of zeroes', '18'],
    ['eight bits of padding', '1fff'],
    ['the end of string', 'ffffffff'],
  ])('refuses %s', (_title, hex) => {
    const bytes = Buffer.from(hex, 'hex');
    expect(() => huffmanDecode(bytes, 0, bytes.length, Buffer.alloc(16))).toThrow('damaged');
  });
});

describe('the decoder', () => {
  it.each([
    ['index 0', '80', 'no header field'],
    ['an index behind the tables', 'be', 'no header field'],
    ['an integer without end', 'ffffffffffffff', 'too large'],
    ['an integer that is cut', 'ff80', 'ends early'],
    ['a table larger than was announced', '3fe21f', 'larger than was announced'],
    ['a change of size behind a field', '8220', 'in the middle'],
    ['a string longer than the block', '000561', 'longer than its header block'],
  ])('refuses %s', (_title, hex, words) => {
    expect(() => decode(new HpackDecoder(), hex)).toThrow(words);
  });

  it('drops the oldest for a new entry, all for one that is too large, and none it still needs', () => {
    const decoder = new HpackDecoder();
    const value = Buffer.alloc(2000, 'v').toString('hex');
    const long = (letter: string): string => `4001${letter}7fd10e${value}`;
    decode(decoder, long('61'));
    decode(decoder, long('62'));
    expect(decoder.tableBytes).toBe(2 * 2033);
    decode(decoder, long('63'));
    expect(decode(decoder, 'bebf').map(([name]) => name)).toEqual(['c', 'b']);
    expect(() => decode(decoder, 'c0')).toThrow('no header field');
  });
});

describe('the encoder', () => {
  it('says the smallest size of the table and the last, and uses no more of it', () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder();
    const block = (): Fields => {
      encoder.begin();
      for (let at = 0; at < 30; at++) encoder.field(`name-${at}`, 'v'.repeat(at), 'keep');
      return decode(decoder, encoder.end().toString('hex'));
    };
    const expected = Array.from({ length: 30 }, (_, at) => [`name-${at}`, 'v'.repeat(at)]);
    for (const sizes of [[4096], [100], [0, 4096], [0], [200, 50, 1000], [4096]]) {
      for (const size of sizes) encoder.allow(size);
      expect(block()).toEqual(expected);
      expect(block()).toEqual(expected);
      expect(decoder.tableBytes).toBeLessThanOrEqual(sizes.at(-1) ?? 0);
    }
  });
});
