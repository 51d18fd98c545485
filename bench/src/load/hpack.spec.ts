/** HPACK against the examples of RFC 7541, appendix C. */
import { describe, expect, it } from 'vitest';
import { type Field, HpackDecoder, HpackEncoder } from './hpack.js';
import { decodeHuffman } from './huffman.js';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('Huffman-coded texts', () => {
  it.each([
    ['f1e3c2e5f23a6ba0ab90f4ff', 'www.example.com'],
    ['a8eb10649cbf', 'no-cache'],
    ['25a849e95bb8e8b4bf', 'custom-value'],
    ['d07abe941054d444a8200595040b8166e082a62d1bff', 'Mon, 21 Oct 2013 20:13:21 GMT'],
    ['9d29ad171863c78f0b97c8e9ae82ae43d3', 'https://www.example.com'],
  ])('%s is read as the RFC says', (bytes, text) => {
    expect(decodeHuffman(hex(bytes))).toBe(text);
  });

  it('are refused when they end within a character', () => {
    expect(() => decodeHuffman(hex('aec3771a00'))).toThrow('ends badly');
  });
});

describe('the decoder', () => {
  it('reads the answers of C.6, whose table forgets entries', () => {
    const decoder = new HpackDecoder();
    const blocks = [
      // A table of 256 bytes, as in the example.
      '3fe101 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6' +
        '2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      '4883 640e ffc1 c0bf',
      '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad' +
        '94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160' +
        '65c0 03ed 4ee5 b106 3d50 07',
      // The newest entry of the table is set-cookie now; the status of 307 is gone.
      'be',
    ].map(hex);
    const statuses = blocks.map((block) => decoder.decode(block, 0, block.length).httpStatus);
    expect(statuses).toEqual(['302', '307', '200', undefined]);
    expect(() => decoder.decode(hex('c1'), 0, 1)).toThrow('which is not there');
  });

  it('does not take a block for one it knew before the table changed', () => {
    const decoder = new HpackDecoder();
    const decode = (text: string) => decoder.decode(hex(text), 0, hex(text).length).grpcStatus;
    const name = Buffer.from('grpc-status').toString('hex');
    expect(decode(`400b${name}0130`)).toBe('0');
    expect([decode('be'), decode('be')]).toEqual(['0', '0']);
    expect(decode(`400b${name}0137`)).toBe('7');
    expect(decode('be')).toBe('7');
    expect(decode('bf')).toBe('0');
  });
});

describe('the encoder', () => {
  const fields: readonly Field[] = [
    [':method', 'POST'],
    [':path', '/kv.v1.KV/Range'],
    ['te', 'trailers'],
    ['grpc-status', '5'],
  ];

  it('makes one byte of each field that was sent before, and is understood', () => {
    const [encoder, decoder] = [new HpackEncoder(true), new HpackDecoder()];
    const [first, second] = [encoder.encode(fields), encoder.encode(fields)];
    expect(second).toHaveLength(fields.length);
    for (const block of [first, second]) {
      expect(decoder.decode(block, 0, block.length).grpcStatus).toBe('5');
    }
  });

  it('leaves the table alone where the other side has none', () => {
    const encoder = new HpackEncoder(false);
    expect(encoder.encode(fields)).toEqual(encoder.encode(fields));
  });
});
