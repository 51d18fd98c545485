/** How a snapshot becomes commands whose indexes grow and end below the one it stands for. */
import { mvccV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { BatchesTooSmallError, FillBatches, LARGE_BATCHES, SMALL_BATCHES } from './fill-batches.js';

const { DUMMY, PUT_BATCH } = mvccV1.Command_CommandType;
const pair = (key: string, bytes: number) => ({
  key: Buffer.from(key),
  value: Buffer.alloc(bytes, key),
});

function commandsOf(batches: FillBatches, pairs: ReturnType<typeof pair>[], index: number) {
  const commands = pairs.flatMap((one) => batches.add(one) ?? []);
  commands.push(...[batches.flush()].flatMap((one) => one ?? []), batches.close(index));
  return commands.map((bytes) => ({ bytes, command: mvccV1.Command.decode(bytes) }));
}

describe('batches that fill a copy', () => {
  it('hold every pair once, are numbered from 1, and end at the index of the snapshot', () => {
    const bounds = { bytesMax: 250, pairsMax: 100 };
    const pairs = Array.from({ length: 10 }, (_, nth) => pair(`k${nth}`, 70));
    const commands = commandsOf(new FillBatches('orders', bounds), pairs, 900);
    const indexes = commands.map(({ command }) => Number(command.leaderIndex));
    expect(indexes).toEqual([1, 2, 3, 4, 900]);
    const types = commands.map(({ command }) => command.type);
    expect(types).toEqual([PUT_BATCH, PUT_BATCH, PUT_BATCH, PUT_BATCH, DUMMY]);
    const filled = commands.flatMap(({ command }) => command.batch);
    expect(filled.map(({ key, value }) => ({ key, value }))).toEqual(pairs);
  });

  it('are no larger than they may be, but for a pair that is by itself', () => {
    const bounds = { bytesMax: 1_000, pairsMax: 100 };
    const pairs = [300, 300, 300, 5_000, 200].map((bytes, nth) => pair(`k${nth}`, bytes));
    const commands = commandsOf(new FillBatches('t', bounds), pairs, 9);
    expect(commands.map(({ command }) => command.batch.length)).toEqual([3, 1, 1, 0]);
    expect(commands[0]?.bytes.length).toBeLessThan(1_000);
  });

  it('are bounded by the number of pairs', () => {
    const bounds = { bytesMax: 1e6, pairsMax: 4 };
    const pairs = Array.from({ length: 9 }, (_, nth) => pair(`k${nth}`, 1));
    const commands = commandsOf(new FillBatches('t', bounds), pairs, 9);
    expect(commands.map(({ command }) => command.batch.length)).toEqual([4, 4, 1, 0]);
  });

  it('that are more than there are indexes before the last are refused by name', () => {
    const batches = new FillBatches('t', { bytesMax: 10, pairsMax: 1 });
    const pairs = [pair('a', 1), pair('b', 1), pair('c', 1)];
    expect(() => commandsOf(batches, pairs, 3)).toThrow(BatchesTooSmallError);
  });

  it('of the large kind hold more than three MiB, and fit a request of four with its frame', () => {
    expect(LARGE_BATCHES.bytesMax).toBeGreaterThan(3 * 1024 * 1024);
    const batches = new FillBatches('t', LARGE_BATCHES);
    let command: Buffer | undefined;
    for (let nth = 0; !command; nth++) command = batches.add(pair(`key ${nth}`, 5_000));
    expect(command.length).toBeGreaterThan(3.4 * 1024 * 1024);
    expect(command.length).toBeLessThan(3.6 * 1024 * 1024);
    expect(SMALL_BATCHES.bytesMax).toBeLessThan(LARGE_BATCHES.bytesMax);
  });

  it('of no pairs are the last one alone', () => {
    expect(commandsOf(new FillBatches('t', SMALL_BATCHES), [], 1)).toHaveLength(1);
  });
});
