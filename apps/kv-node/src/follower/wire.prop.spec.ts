/**
 * What travels inside a follower cluster, as bytes: passed reads, and batches of pullers.
 */
import fc from 'fast-check';
import { GrpcStatusError, status } from '@flotilla/grpc';
import { mvccV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { KEY_BYTES_MAX } from '../kv/limits.js';
import { decodeRead, encodeLag, encodeRead, splitAnswer } from './passed-reads.js';
import { batchCommand } from './replicated-batch.js';

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((part) => Buffer.from(part));
const revision = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

describe('a read that is passed on', () => {
  const read = fc.record({
    table: bytes(300),
    minRevision: revision,
    leaderTableId: revision,
    method: fc.string({ maxLength: 40 }),
    request: bytes(200),
  });

  it('comes as it was sent', () => {
    fc.assert(
      fc.property(read, (sent) => {
        const got = decodeRead(encodeRead(sent));
        expect({ ...got, request: Buffer.from(got.request) }).toEqual(sent);
      }),
    );
  });

  it('cut off before its request begins is refused', () => {
    fc.assert(
      fc.property(read, fc.nat(), (sent, at) => {
        const headBytes = encodeRead({ ...sent, request: Buffer.alloc(0) }).length;
        const cut = encodeRead(sent).subarray(0, at % headBytes);
        expect(() => decodeRead(cut)).toThrow(GrpcStatusError);
      }),
    );
  });

  it('brings what is known of the lag back, and nothing that is not', () => {
    const lag = fc.option(
      fc.record({ revisions: revision, ms: fc.option(revision, { nil: undefined }) }),
      { nil: undefined },
    );
    fc.assert(
      fc.property(fc.record({ revision, lag }), bytes(50), (copy, answer) => {
        const whole = Buffer.concat([encodeLag(copy), answer]);
        expect(splitAnswer(whole)).toEqual({ copy, answer });
      }),
    );
  });
});

describe('a batch of a puller', () => {
  it('is one fenced sequence of the commands as they came', () => {
    const pair = fc.record({ key: bytes(20), value: bytes(400) });
    fc.assert(
      fc.property(fc.array(pair, { maxLength: 20 }), (pairs) => {
        const commands = pairs.map((kv, at) =>
          mvccV1.Command.fromPartial({
            table: Buffer.from('t'),
            kv,
            leaderIndex: BigInt(at * 3 + 1),
          }),
        );
        const encoded = batchCommand({
          table: 't',
          epoch: 7n,
          token: 2n ** 40n,
          commands: commands.map((each) => Buffer.from(mvccV1.Command.encode(each).finish())),
        });
        const decoded = mvccV1.Command.decode(encoded);
        expect(decoded.type).toBe(mvccV1.Command_CommandType.SEQUENCE);
        expect(decoded.fence).toEqual({ epoch: 7n, token: 2n ** 40n });
        expect(decoded.leaderIndex).toBeUndefined();
        expect(decoded.sequence).toEqual(commands);
      }),
    );
  });

  const refused = (token: bigint, fields: Parameters<typeof mvccV1.Command.fromPartial>[0]) => {
    const command = mvccV1.Command.fromPartial({ leaderIndex: 1n, ...fields });
    const commands = [Buffer.from(mvccV1.Command.encode(command).finish())];
    return expect(() => batchCommand({ table: 't', epoch: 7n, token, commands }));
  };
  const put = { kv: { key: Buffer.from('k'), value: Buffer.from('v') } };

  it('is refused with a token that no table can keep: applying it would end every replica', () => {
    const largest = BigInt(Number.MAX_SAFE_INTEGER);
    refused(largest, put).not.toThrow();
    for (const token of [largest + 1n, 2n ** 64n - 1n]) {
      refused(token, put).toThrow(expect.objectContaining({ code: status.INVALID_ARGUMENT }));
    }
  });

  it('is refused with a key to be put that an engine may not hold', () => {
    const { PUT_BATCH, TXN } = mvccV1.Command_CommandType;
    const puts = (length: number) => {
      const kv = { key: Buffer.alloc(length, 'k'), value: Buffer.from('v') };
      const op = { request: { $case: 'requestPut' as const, value: kv } };
      return [
        { kv },
        { type: PUT_BATCH, batch: [put.kv, kv] },
        { type: TXN, txn: { success: [op] } },
        { type: TXN, txn: { failure: [op] } },
      ];
    };
    for (const fields of puts(KEY_BYTES_MAX)) refused(1n, fields).not.toThrow();
    for (const fields of puts(KEY_BYTES_MAX + 1)) {
      refused(1n, fields).toThrow(expect.objectContaining({ code: status.INVALID_ARGUMENT }));
    }
  });
});
