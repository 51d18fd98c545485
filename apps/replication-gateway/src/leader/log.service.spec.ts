/**
 * The polling protocol as its contract has it, byte by byte: what a follower sends and what it gets.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { mvccV1, replicationV1 } from '@flotilla/proto';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeLog, gcCommand, NO_METRICS, putCommand, TABLE } from '../../test/support/fake-feed.js';
import { serve, type Served } from '../../test/support/served.js';
import { SYSTEM_CLOCK } from '../gateway-clock.js';
import { LogService, REPLICATE } from './log.service.js';

const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
const { DUMMY, PUT } = mvccV1.Command_CommandType;

let served: Served | undefined;
afterEach(() => served?.close());

async function poll(log: FakeLog, from: number, bytesMax = MESSAGE_BYTES_MAX): Promise<Buffer[]> {
  served = await serve(new LogService(log, SYSTEM_CLOCK, NO_METRICS, bytesMax));
  return served.stream(REPLICATE, request(from));
}

/** `ReplicateRequest`: field 1 the table, field 2 the first wanted index. */
function request(from: number): Buffer {
  const table = Buffer.concat([Buffer.from([0x0a, TABLE.length]), TABLE]);
  return from === 0 ? table : Buffer.concat([table, Buffer.from([0x10, from])]);
}

function commandsOf(messages: readonly Buffer[]): replicationV1.ReplicateCommand[] {
  return messages.flatMap((message) => {
    const { response } = replicationV1.ReplicateResponse.decode(message);
    return response?.$case === 'commandsResponse' ? response.value.commands : [];
  });
}

const hex = (message: Buffer | undefined) => message?.toString('hex');

describe('a poll of the log', () => {
  it('gets every command with its index from the first wanted one on, then where the log stands', async () => {
    const log = new FakeLog([putCommand('a'), putCommand('b'), putCommand('c')]);
    const messages = await poll(log, 2);
    // field 1 (commands) { field 1 (command) { 1: index, 2: { 1: table, 3: { 1: key, 4: value }, 5: index } } },
    // field 8: where the log stood; and, at the end, field 8 alone.
    const command = (key: string, index: number) => {
      const value = Buffer.from(`value of ${key}`).toString('hex');
      const pair = `1a0f0a01${Buffer.from(key).toString('hex')}220a${value}`;
      return `0a1f080${index}121b0a06${TABLE.toString('hex')}${pair}280${index}`;
    };
    expect(messages.map(hex)).toEqual([`0a42${command('b', 2)}${command('c', 3)}4003`, '4003']);
  });

  it('at the end of the log gets nothing but where the log stands', async () => {
    expect((await poll(new FakeLog([putCommand('a')]), 2)).map(hex)).toEqual(['4001']);
  });

  it('beyond the end of the log is told that the leader is behind', async () => {
    expect((await poll(new FakeLog([putCommand('a')]), 3)).map(hex)).toEqual(['12020801']);
  });

  it('in front of what the log still holds is told to use a snapshot', async () => {
    expect((await poll(new FakeLog([putCommand('a')], 9), 8)).map(hex)).toEqual(['1200']);
  });

  it('from index 0 is refused with the text of the contract', async () => {
    await expect(poll(new FakeLog([]), 0)).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      message: 'invalid leaderIndex: leaderIndex must be greater than 0',
    });
  });

  it('gets a DUMMY where an entry holds no command, so that no index is missing', async () => {
    const nothing = Buffer.alloc(0);
    const log = new FakeLog([nothing, putCommand('a'), nothing, putCommand('b')]);
    const commands = commandsOf(await poll(log, 1));
    expect(commands.map(({ leaderIndex }) => leaderIndex)).toEqual([1n, 2n, 3n, 4n]);
    expect(commands.map(({ command }) => command?.type)).toEqual([DUMMY, PUT, DUMMY, PUT]);
    expect(commands.map(({ command }) => command?.leaderIndex)).toEqual([1n, 2n, 3n, 4n]);
  });

  it('B24: gets each command with an index of its own, never that of its message', async () => {
    const log = new FakeLog(Array.from({ length: 7 }, (_, at) => putCommand(`k${at}`)));
    log.entriesPerChunk = 7;
    const messages = await poll(log, 1);
    expect(messages).toHaveLength(2);
    const indexes = commandsOf(messages).map(({ command }) => command?.leaderIndex);
    expect(indexes).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n]);
  });

  it('B25: never gets a GC: it would end a server of Regatta, and its index is of another log', async () => {
    const commands = commandsOf(await poll(new FakeLog([gcCommand(), putCommand('a')]), 1));
    expect(commands.map(({ command }) => command?.type)).toEqual([DUMMY, PUT]);
    expect(commands.map(({ command }) => command?.leaderIndex)).toEqual([1n, 2n]);
  });

  it('B16: that cannot be read to its end ends with an error, not as if it had all', async () => {
    const log = new FakeLog(Array.from({ length: 9 }, (_, at) => putCommand(`k${at}`)));
    log.failure = { after: 4, error: new Error('the disk is gone') };
    await expect(poll(log, 1)).rejects.toMatchObject({ code: status.INTERNAL });
    await served?.close();
    log.failure = { after: 4, error: new GrpcStatusError(status.UNAVAILABLE, 'no node left') };
    await expect(poll(log, 1)).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });

  it('gets messages of the size that is allowed, and one command alone where it is larger', async () => {
    const values = [100, 100, 100, 5_000, 100, 100].map((bytes) => Buffer.alloc(bytes, 1));
    const log = new FakeLog(values.map((value, at) => putCommand(`k${at}`, value)));
    log.entriesPerChunk = 6;
    const messages = await poll(log, 1, 1024);
    const counts = messages.map((message) => commandsOf([message]).length);
    expect(counts).toEqual([3, 1, 2, 0]);
    for (const [at, message] of messages.entries()) {
      if (counts[at] !== 1) expect(message.length).toBeLessThanOrEqual(1024);
    }
    expect(commandsOf(messages).map(({ leaderIndex }) => Number(leaderIndex))).toEqual([
      1, 2, 3, 4, 5, 6,
    ]);
  });
});
