import { describe, expect, it } from 'vitest';
import { mvccV1, regattaV1, replicationV1 } from './index.js';

const { Command, Compare } = mvccV1;

describe('wire contract', () => {
  it('a PUT command has the bytes that Regatta writes', () => {
    const recorded = 'CgR0ZXN0GhAKBWtleV8xIgd2YWx1ZV8x';
    const command = Command.decode(Buffer.from(recorded, 'base64'));
    expect(command.table.toString()).toBe('test');
    expect(command.type).toBe(mvccV1.Command_CommandType.PUT);
    expect(command.kv?.key.toString()).toBe('key_1');
    expect(command.kv?.value.toString()).toBe('value_1');
    expect(Buffer.from(Command.encode(command).finish()).toString('base64')).toBe(recorded);
  });

  it('an absent, an empty and a set range_end of a command are told apart', () => {
    const base = Command.decode(Buffer.alloc(0));
    const read = (rangeEnd: Buffer | undefined) =>
      Command.decode(Buffer.from(Command.encode({ ...base, rangeEnd }).finish())).rangeEnd;
    expect(read(undefined)).toBeUndefined();
    expect(read(Buffer.alloc(0))).toEqual(Buffer.alloc(0));
    expect(read(Buffer.from([0]))).toEqual(Buffer.from([0]));
  });

  it('field numbers that skip are where clients expect them', () => {
    const rangeEnd = Compare.encode({
      result: 0,
      target: 0,
      key: Buffer.alloc(0),
      targetUnion: undefined,
      rangeEnd: Buffer.from('z'),
    }).finish();
    expect(Buffer.from(rangeEnd).toString('hex')).toBe('8204017a');
    const status = regattaV1.StatusRequest.encode({ config: true }).finish();
    expect(Buffer.from(status).toString('hex')).toBe('2001');
    const reply = replicationV1.ReplicateResponse.encode({
      response: undefined,
      leaderIndex: 7n,
    }).finish();
    expect(Buffer.from(reply).toString('hex')).toBe('4007');
    const range = regattaV1.RangeResponse.encode({
      header: undefined,
      kvs: [{ key: Buffer.from('k'), createRevision: 0n, modRevision: 0n, value: Buffer.alloc(0) }],
      more: true,
      count: 1n,
    }).finish();
    expect(Buffer.from(range).toString('hex')).toBe('1a030a016b20012801');
  });

  it('64-bit numbers keep every bit', () => {
    const limit = 2n ** 63n - 1n;
    const request = regattaV1.RangeRequest.decode(Buffer.alloc(0));
    const bytes = regattaV1.RangeRequest.encode({ ...request, limit }).finish();
    expect(regattaV1.RangeRequest.decode(bytes).limit).toBe(limit);
  });
});
