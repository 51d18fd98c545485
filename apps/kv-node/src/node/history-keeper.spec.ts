import { BATCH_ENTRIES_MAX, openMemoryEngine, TableStateMachine } from '@flotilla/mvcc';
import { mvccV1 } from '@flotilla/proto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SYSTEM_CLOCK } from './node-clock.js';
import { HISTORY_REVISIONS_KEPT, HistoryKeeper } from './history-keeper.js';

/** Time enough for a busy machine; it comes within moments. */
const WAIT = { timeout: 60_000 };

const WRITES = HISTORY_REVISIONS_KEPT + 2_000;
/** What lies in one row goes as a whole. */
const ROWS_KEPT_MAX = HISTORY_REVISIONS_KEPT + BATCH_ENTRIES_MAX;

function putEntry(index: number) {
  const kv = { key: Buffer.from(`k${index % 10}`), value: Buffer.from(String(index)) };
  const command = mvccV1.Command.fromPartial({ table: Buffer.from('t'), kv });
  return { index, data: mvccV1.Command.encode(command).finish() };
}

describe('the history of a table', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
  afterEach(() => void vi.useRealTimers());

  async function keep(table: TableStateMachine): Promise<void> {
    const keeper = new HistoryKeeper(
      () => [table],
      (error) => {
        throw error;
      },
      SYSTEM_CLOCK,
    );
    keeper.start();
    await vi.advanceTimersByTimeAsync(1_000);
    await vi.waitFor(() => expect(table.state.compactedRevision).toBeGreaterThan(0), WAIT);
    await vi.waitFor(
      () => expect(table.stats().historyRows).toBeLessThanOrEqual(ROWS_KEPT_MAX),
      WAIT,
    );
    await keeper.stop();
  }

  it('has a bound, and within it every revision can still be read', async () => {
    const table = new TableStateMachine({ engine: openMemoryEngine(), tableId: 1 });
    table.apply(Array.from({ length: WRITES }, (_, at) => putEntry(at + 1)));
    expect(table.stats().historyRows).toBe(WRITES - 10);
    await keep(table);
    expect(table.state.compactedRevision).toBe(WRITES - HISTORY_REVISIONS_KEPT);
    const oldest = WRITES - HISTORY_REVISIONS_KEPT;
    const row = table.get(Buffer.from(`k${oldest % 10}`), { revision: oldest });
    expect(row?.value.toString()).toBe(String(oldest));
    expect(table.get(Buffer.from('k3'))?.value.toString()).toBe(String(WRITES - 7));
  });

  it('of a table that was destroyed meanwhile is left alone', async () => {
    const table = new TableStateMachine({ engine: openMemoryEngine(), tableId: 2 });
    table.apply(Array.from({ length: WRITES }, (_, at) => putEntry(at + 1)));
    table.destroy();
    const errors: unknown[] = [];
    const keeper = new HistoryKeeper(
      () => [table],
      (error) => errors.push(error),
      SYSTEM_CLOCK,
    );
    keeper.start();
    await vi.advanceTimersByTimeAsync(1_000);
    await keeper.stop();
    expect(errors).toEqual([]);
  });

  it('of a table whose numbering begins anew meanwhile is left alone, and nothing ends', async () => {
    const table = new TableStateMachine({ engine: openMemoryEngine(), tableId: 3 });
    // One row each: it takes several steps to remove them.
    for (let index = 1; index <= WRITES; index++) table.apply([putEntry(index)]);
    const type = mvccV1.Command_CommandType.DUMMY;
    const reset = mvccV1.Command.fromPartial({ table: Buffer.from('t'), type, leaderIndex: 0n });
    const data = mvccV1.Command.encode(reset).finish();
    const errors: unknown[] = [];
    let turns = 0;
    const turn = async () => {
      if (++turns === 1) table.apply([{ index: WRITES + 1, data }]);
    };
    const keeper = new HistoryKeeper(
      () => [table],
      (error) => errors.push(error),
      { ...SYSTEM_CLOCK, turn },
    );
    keeper.start();
    await vi.advanceTimersByTimeAsync(1_000);
    await keeper.stop();
    expect(turns).toBeGreaterThan(0);
    expect(errors).toEqual([]);
  });
});
