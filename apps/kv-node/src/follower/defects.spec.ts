/**
 * Defects of Regatta and Armada, by the numbers of their contract, in what a follower cluster takes.
 */
import { status } from '@flotilla/grpc';
import { mvccV1 } from '@flotilla/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { command, FollowerClusterUnderTest } from '../../test/support/follower-cluster.js';

const { Command, Command_CommandType } = mvccV1;

let cluster: FollowerClusterUnderTest;
/** The copy of table `t`. */
let tableId: bigint;

beforeAll(async () => {
  cluster = await FollowerClusterUnderTest.start(1);
  ({ tableId } = await cluster.first.createCopy());
}, 60_000);
afterAll(async () => {
  expect(cluster.fatal).toEqual([]);
  await cluster.stop();
});

describe('what comes from a leader cluster', () => {
  it('B9: a name that no table can have is refused, and no other table suffers from it', async () => {
    const { first } = cluster;
    for (const name of ['', 'a/b', '../../etc', 'sys/idseq', 'x/lease', '.', 'a'.repeat(10_000)]) {
      await expect(first.createCopy(name)).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        message: expect.stringContaining('table') as string,
      });
    }
    expect(await first.apply(tableId, [command(1, 'k', 'v')])).toMatchObject({ leaderIndex: 1n });
    expect(first.follower.apply.list().replicas.map(({ table }) => table)).toEqual(['t']);
  });

  it('B25: a GC of Armada moves the index on, never back, and changes nothing else', async () => {
    const { first } = cluster;
    const gc = (leaderIndex: number): Buffer => {
      const fields = { type: Command_CommandType.GC, leaderIndex: BigInt(leaderIndex) };
      return Buffer.from(Command.encode(Command.fromPartial(fields)).finish());
    };
    const take = async (...commands: Buffer[]) =>
      Number((await first.apply(tableId, commands)).leaderIndex);
    expect(await take(command(5, 'k', 'before'), gc(6))).toBe(6);
    // Its own log has other numbers: one that lies behind must not turn the copy back.
    expect(await take(gc(2))).toBe(6);
    expect(await take(command(6, 'k', 'twice'))).toBe(6);
    expect(await take(command(7, 'j', 'after'))).toBe(7);
    expect([await first.get('k'), await first.get('j')]).toEqual(['before', 'after']);
  });
});
