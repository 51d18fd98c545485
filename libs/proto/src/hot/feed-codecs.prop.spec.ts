import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytes, count } from '../../test/messages.js';
import { feedV1, hot, mvccV1, replicationV1 } from '../index.js';

const RUNS = { numRuns: 100 };
const { Command, Command_CommandType } = mvccV1;
const { DUMMY, GC, PUT, SEQUENCE } = Command_CommandType;
const TABLE = Buffer.from('orders');

const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const check = fc.bigInt(0n, 2n ** 64n - 1n);
const entry = fc.record({ index: count, command: bytes });
const row = fc.record({
  key: bytes,
  value: bytes,
  createRevision: count,
  modRevision: count,
  version: count,
});
const logPosition = fc.record({
  tableId: count,
  epoch: count,
  firstIndex: count,
  appliedIndex: count,
});
const tablePosition = fc.record({
  tableId: count,
  epoch: count,
  appliedIndex: count,
  revision: count,
  appliedCheck: optional(check),
});

/** Numbers of an object as the generated types have them. */
function big<T extends object>(fields: T): Record<keyof T, never> {
  const entries = Object.entries(fields).map(([name, value]: [string, unknown]) => [
    name,
    typeof value === 'number' ? BigInt(value) : value,
  ]);
  return Object.fromEntries(entries) as Record<keyof T, never>;
}

const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');

describe('the hot codecs of the feed', () => {
  it('make and read a LogChunk as the generated ones do', () => {
    const chunk = fc.record({
      position: optional(logPosition),
      entries: fc.array(entry, { maxLength: 6 }),
      appliedIndex: count,
      compacted: fc.boolean(),
      firstIndex: count,
      lastCheck: optional(check),
      diverged: optional(fc.boolean()),
    });
    fc.assert(
      fc.property(chunk, (given) => {
        const encoded = hot.encodeLogChunk(given);
        const generated = feedV1.LogChunk.encode({
          ...big(given),
          position: given.position && big(given.position),
          entries: given.entries.map(big),
        }).finish();
        expect(hex(encoded)).toBe(hex(generated));
        expect(hot.decodeLogChunk(encoded)).toEqual(given);
      }),
      RUNS,
    );
  });

  it('make and read a TableChunk as the generated ones do', () => {
    const chunk = fc.record({
      position: optional(tablePosition),
      rows: fc.array(row, { maxLength: 6 }),
      more: fc.boolean(),
      deletedKeys: fc.array(bytes, { maxLength: 6 }),
    });
    fc.assert(
      fc.property(chunk, (given) => {
        const encoded = hot.encodeTableChunk(given);
        const generated = feedV1.TableChunk.encode({
          more: given.more,
          position: given.position && big(given.position),
          rows: given.rows.map(big),
          deletedKeys: given.deletedKeys,
        }).finish();
        expect(hex(encoded)).toBe(hex(generated));
        expect(hot.decodeTableChunk(encoded)).toEqual(given);
      }),
      RUNS,
    );
  });

  it('complete rows that are encoded already to the same TableChunk, in the room around them', () => {
    const chunk = fc.record({
      position: optional(tablePosition),
      rows: fc.array(row, { maxLength: 6 }),
      more: fc.boolean(),
    });
    fc.assert(
      fc.property(chunk, ({ position, rows, more }) => {
        const deletedKeys: Buffer[] = [];
        const packed = hot.encodeTableChunk({
          position: undefined,
          rows,
          more: false,
          deletedKeys,
        });
        const start = hot.TABLE_CHUNK_HEAD_BYTES;
        const end = start + packed.length;
        const bytes = Buffer.alloc(end + hot.TABLE_CHUNK_TAIL_BYTES);
        packed.copy(bytes, start);
        const completed = hot.completeTableChunk({ bytes, start, end }, position, more);
        expect(hex(completed)).toBe(
          hex(hot.encodeTableChunk({ position, rows, more, deletedKeys })),
        );
        expect(completed.buffer).toBe(bytes.buffer);
      }),
      RUNS,
    );
  });

  it('refuse to complete rows that have no room around them', () => {
    const bytes = Buffer.alloc(10);
    const packed = { bytes, start: 0, end: 10 };
    const position = { tableId: 1, epoch: 1, appliedIndex: 1, revision: 1 };
    expect(() => hot.completeTableChunk(packed, position, false)).toThrow(RangeError);
    expect(() => hot.completeTableChunk(packed, undefined, true)).toThrow(RangeError);
  });

  it('refuse numbers that a counter cannot have, and bytes that end too soon', () => {
    const chunk = { position: undefined, entries: [], compacted: false, firstIndex: 0 };
    const appliedIndex = 2n ** 53n;
    const large = feedV1.LogChunk.encode({
      ...chunk,
      entries: [],
      firstIndex: 0n,
      appliedIndex,
    }).finish();
    expect(() => hot.decodeLogChunk(Buffer.from(large))).toThrow(RangeError);
    const entries = [{ index: 7, command: Buffer.from('abc') }];
    const whole = hot.encodeLogChunk({ ...chunk, appliedIndex: 7, entries });
    expect(() => hot.decodeLogChunk(whole.subarray(0, 5))).toThrow();
  });
});

describe('a command of one cluster alone', () => {
  const table = fc.oneof(fc.constant(''), fc.constant('t'), fc.constant('n'.repeat(200)));
  const own: fc.Arbitrary<Partial<mvccV1.Command>> = fc.oneof(
    fc.constant({ fence: { epoch: 1n, token: 2n } }),
    fc.constant({ fill: mvccV1.Fill.fromPartial({ token: 1n }) }),
    fc.constant({ adoption: { revision: 3n } }),
  );
  const encodedOf = (name: string, fields: Partial<mvccV1.Command>): Uint8Array =>
    Command.encode(Command.fromPartial({ ...fields, table: Buffer.from(name) })).finish();

  it('is found by its fields, whatever else it has', () => {
    const sequence = [Command.fromPartial({ type: PUT, leaderIndex: 9n })];
    fc.assert(
      fc.property(table, own, fc.boolean(), (name, fields, hasMembers) => {
        const members = hasMembers ? { sequence } : {};
        const command = encodedOf(name, { type: SEQUENCE, ...members, ...fields });
        expect(hot.isOfOneCluster(command)).toBe(true);
      }),
      RUNS,
    );
  });

  it('is none of those that a leader cluster replicates, nor an empty one', () => {
    fc.assert(
      fc.property(
        table,
        bytes,
        bytes,
        fc.constantFrom(PUT, DUMMY, SEQUENCE, GC),
        (name, key, value, type) => {
          const kv = { key, value, createRevision: 0n, modRevision: 0n };
          expect(hot.isOfOneCluster(encodedOf(name, { type, kv }))).toBe(false);
        },
      ),
      RUNS,
    );
    expect(hot.isOfOneCluster(Buffer.alloc(0))).toBe(false);
  });
});

describe('what goes to follower clusters', () => {
  function sent(entries: hot.FeedEntry[], leaderIndex = 99): replicationV1.ReplicateResponse {
    const encoded = hot.encodeReplicateCommands(TABLE, entries, leaderIndex);
    return replicationV1.ReplicateResponse.decode(encoded);
  }
  function commandsOf(response: replicationV1.ReplicateResponse): replicationV1.ReplicateCommand[] {
    if (response.response?.$case !== 'commandsResponse') throw new Error('there are no commands');
    return response.response.value.commands;
  }
  const encoded = (fields: Partial<mvccV1.Command>) =>
    Buffer.from(Command.encode(Command.fromPartial({ table: TABLE, ...fields })).finish());

  it('is each command as it lies in the log, with its index, whatever index it had before', () => {
    const kv = { key: Buffer.from('k'), value: Buffer.from('v'), createRevision: 0n };
    const put = { type: PUT, kv: { ...kv, modRevision: 0n } };
    const entries = [
      { index: 7, command: encoded(put) },
      { index: 300, command: encoded({ ...put, leaderIndex: 5n }) },
    ];
    const response = sent(entries);
    expect(response.leaderIndex).toBe(99n);
    expect(commandsOf(response)).toEqual(
      [7n, 300n].map((leaderIndex) => ({
        leaderIndex,
        command: Command.fromPartial({ table: TABLE, ...put, leaderIndex }),
      })),
    );
  });

  it('is a DUMMY with its index where an entry holds no command', () => {
    const [command] = commandsOf(sent([{ index: 8, command: Buffer.alloc(0) }]));
    expect(command?.command).toEqual(
      Command.fromPartial({ table: TABLE, type: DUMMY, leaderIndex: 8n }),
    );
  });

  it('never holds a command of a kind above 6, not even within a sequence', () => {
    const newer = Command.fromPartial({ table: TABLE, type: GC, leaderIndex: 3n });
    const unheardOf = Buffer.concat([encoded({}), Buffer.from([0x10, 42])]);
    const sequence = encoded({
      type: SEQUENCE,
      sequence: [newer, Command.fromPartial({ type: PUT }), { ...newer, sequence: [newer] }],
    });
    const commands = commandsOf(
      sent([
        { index: 8, command: encoded({ type: GC }) },
        { index: 9, command: unheardOf },
        { index: 10, command: sequence },
      ]),
    );
    expect(commands.map(({ command }) => command?.type)).toEqual([DUMMY, DUMMY, SEQUENCE]);
    expect(commands[2]?.command?.sequence.map(({ type }) => type)).toEqual([DUMMY, PUT, DUMMY]);
    expect(commands.map(({ command }) => command?.leaderIndex)).toEqual([8n, 9n, 10n]);
  });

  it('says nothing of who wrote a command, or filled the table, in the cluster it comes from', () => {
    const fence = { epoch: 1n, token: 2n };
    const member = Command.fromPartial({ type: PUT, leaderIndex: 4n });
    const fill = { token: 1n, batch: 1n, rows: [], note: Buffer.from('n'), commands: [] };
    const commands = commandsOf(
      sent([
        { index: 5, command: encoded({ type: SEQUENCE, fence, sequence: [member] }) },
        { index: 6, command: encoded({ type: SEQUENCE, fill }) },
        { index: 7, command: encoded({ type: SEQUENCE, adoption: { revision: 3n } }) },
      ]),
    );
    for (const { command } of commands) {
      expect(command).not.toHaveProperty('fence', expect.anything());
      expect(command).not.toHaveProperty('fill', expect.anything());
      expect(command).not.toHaveProperty('adoption', expect.anything());
    }
    expect(commands[0]?.command?.sequence).toEqual([member]);
  });

  it('is, in a snapshot, a length and a PUT for each pair, and a DUMMY with the index at the end', () => {
    fc.assert(
      fc.property(bytes, bytes, count, (key, value, leaderIndex) => {
        const pair = hot.encodeSnapshotPair(TABLE, key, value);
        expect(pair.readBigUInt64LE(0)).toBe(BigInt(pair.length - 8));
        expect(Command.decode(pair.subarray(8))).toEqual(
          Command.fromPartial({ table: TABLE, type: PUT, kv: { key, value } }),
        );
        const end = hot.encodeSnapshotEnd(TABLE, leaderIndex);
        expect(end.readBigUInt64LE(0)).toBe(BigInt(end.length - 8));
        expect(Command.decode(end.subarray(8))).toEqual(
          Command.fromPartial({ table: TABLE, type: DUMMY, leaderIndex: BigInt(leaderIndex) }),
        );
      }),
      RUNS,
    );
  });
});
