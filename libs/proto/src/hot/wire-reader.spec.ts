import { describe, expect, it } from 'vitest';
import { regattaV1 } from '../index.js';
import { decodePutRequest } from './request-decoders.js';

const GROUP_START = 0x0b;
const GROUP_END = 0x0c;
const FLAG_SET = Buffer.from([0x20, 0x01]);

/** Field 1 as groups within groups, and a field that is known behind them. */
function nestedGroups(depth: number): Buffer {
  const groups = [Buffer.alloc(depth, GROUP_START), Buffer.alloc(depth, GROUP_END)];
  return Buffer.concat([...groups, FLAG_SET]);
}

describe('fields that are not known', () => {
  it('may be groups, a hundred deep and no deeper, as with the generated codec', () => {
    for (const depth of [1, 2, 99, 100]) {
      expect(decodePutRequest(nestedGroups(depth)).prevKv).toBe(true);
    }
    for (const decode of [
      decodePutRequest,
      (bytes: Buffer) => regattaV1.PutRequest.decode(bytes),
    ]) {
      expect(() => decode(nestedGroups(101))).toThrow('maximum recursion depth reached');
    }
  });

  it('end the message where a group ends that never began', () => {
    const bytes = Buffer.from([GROUP_END, ...FLAG_SET]);
    expect(decodePutRequest(bytes)).toEqual(regattaV1.PutRequest.decode(bytes));
    expect(decodePutRequest(bytes).prevKv).toBe(false);
  });
});
