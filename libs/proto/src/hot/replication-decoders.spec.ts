/** What pullers read of a log: against the generated codec, and what a sender leaves out or has wrong. */
import { describe, expect, it } from 'vitest';
import * as mvccV1 from '../generated/mvcc/v1/mvcc.js';
import * as replicationV1 from '../generated/replication/v1/replication.js';
import * as hot from './index.js';

const TABLE = Buffer.from('orders');
const { Command } = mvccV1;
const { ReplicateError, ReplicateResponse } = replicationV1;

function put(value: string | Buffer, leaderIndex?: bigint): mvccV1.Command {
  const kv = { key: Buffer.from('k'), value: Buffer.from(value) };
  return Command.fromPartial({
    table: TABLE,
    kv,
    ...(leaderIndex !== undefined && { leaderIndex }),
  });
}

function message(
  entries: readonly (readonly [bigint, mvccV1.Command])[],
  leaderIndex = 9n,
): Buffer {
  const commands = entries.map(([index, command]) => ({ leaderIndex: index, command }));
  const response = { $case: 'commandsResponse', value: { commands } } as const;
  return Buffer.from(ReplicateResponse.encode({ response, leaderIndex }).finish());
}

function indexesOf(bytes: Buffer): (bigint | undefined)[] {
  const { entries } = hot.decodeReplicateResponse(bytes);
  return entries.map(({ command }) => Command.decode(command).leaderIndex);
}

describe('a message of a log', () => {
  it('has commands with the index of their entries, whatever they carry themselves', () => {
    const sent = message([
      [7n, put('a', 7n)],
      [8n, put('b')],
      [300n, put('c', 8n)],
    ]);
    const read = hot.decodeReplicateResponse(sent);
    expect(read).toMatchObject({ kind: 'commands', leaderIndex: 9 });
    expect(read.entries.map(({ index }) => index)).toEqual([7, 8, 300]);
    expect(indexesOf(sent)).toEqual([7n, 8n, 300n]);
    const values = read.entries.map(({ command }) => Command.decode(command).kv?.value.toString());
    expect(values).toEqual(['a', 'b', 'c']);
  });

  it('takes no data for an index, even if it ends like one', () => {
    const tail = Buffer.from([0x28, 0x07]);
    const sent = message([[7n, put(Buffer.concat([Buffer.from('value '), tail]))]]);
    expect(indexesOf(sent)).toEqual([7n]);
    expect(
      Command.decode(hot.decodeReplicateResponse(sent).entries[0]?.command ?? tail).kv?.value,
    ).toEqual(Buffer.concat([Buffer.from('value '), tail]));
  });

  it('is not made longer where it has the index already', () => {
    const command = hot.encodePutCommand({
      table: TABLE,
      key: Buffer.from('k'),
      value: Buffer.from('v'),
      prevKv: false,
    });
    const sent = hot.encodeReplicateCommands(TABLE, [{ index: 300, command }], 300);
    const [entry] = hot.decodeReplicateResponse(sent).entries;
    expect(entry?.command.length).toBe(command.length + 3);
    expect(Command.decode(entry?.command ?? command).leaderIndex).toBe(300n);
  });

  it('tells an error, the first one of which is an empty field, from the final message', () => {
    const error = (value: replicationV1.ReplicateError) => {
      const response = { $case: 'errorResponse', value: { error: value } } as const;
      return Buffer.from(ReplicateResponse.encode({ response, leaderIndex: 0n }).finish());
    };
    expect(hot.decodeReplicateResponse(error(ReplicateError.USE_SNAPSHOT))).toMatchObject({
      kind: 'error',
      error: ReplicateError.USE_SNAPSHOT,
    });
    expect(hot.decodeReplicateResponse(error(ReplicateError.LEADER_BEHIND))).toMatchObject({
      kind: 'error',
      error: ReplicateError.LEADER_BEHIND,
    });
    const final = ReplicateResponse.encode({ response: undefined, leaderIndex: 12n }).finish();
    expect(hot.decodeReplicateResponse(Buffer.from(final))).toEqual({
      kind: 'final',
      entries: [],
      error: 0,
      leaderIndex: 12,
    });
  });

  it('that is cut short is refused', () => {
    const whole = message([[7n, put('a', 7n)]], 0n);
    for (let length = 1; length < whole.length; length++) {
      expect(() => hot.decodeReplicateResponse(whole.subarray(0, length))).toThrow();
    }
  });
});
