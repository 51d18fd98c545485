import { openMemoryEngine, RangeCache, TableStateMachine } from '@flotilla/mvcc';
import { mvccV1, regattaV1 } from '@flotilla/proto';
import { beforeEach, describe, expect, it } from 'vitest';
import { passedContext } from '../routing/passed-context.js';
import { type RunningTable } from '../tables/table-registry.js';
import { rangeAnswer, txnAnswer } from './answers.js';
import { putCommand } from './commands.js';
import { OPEN_VIEWS_MAX } from './limits.js';
import { SlicedReads } from './sliced-reads.js';
import { TableHeader } from './table-header.js';

const KEYS = 1_000;
const ALL = { key: Buffer.from('key/'), rangeEnd: Buffer.from([0]) };
/** Some of the keys fit, in runs of a few dozen. */
const CACHE_BYTES = 32 * 1024;
const CALL = passedContext('/regatta.v1.KV/Range', 0);
const { RangeResponse } = regattaV1;

/** Time that goes on with each look at it. */
class StepClock {
  turns = 0;
  private ms = 0;

  constructor(private readonly stepMs: number) {}

  nowMs = (): number => (this.ms += this.stepMs);
  onTurn: () => void = () => undefined;
  turn = async (): Promise<void> => {
    this.turns++;
    this.onTurn();
  };
}

let machine: TableStateMachine;
let table: RunningTable;

function put(key: string, value: string): void {
  const request = { table: Buffer.from('t'), key: Buffer.from(key), value: Buffer.from(value) };
  const data = putCommand({ ...request, prevKv: false });
  machine.apply([{ index: machine.state.appliedIndex + 1, data }]);
}

beforeEach(() => {
  const rangeCache = new RangeCache({ bytesMax: CACHE_BYTES });
  machine = new TableStateMachine({ engine: openMemoryEngine(), tableId: 10_001, rangeCache });
  const header = new TableHeader({ term: 2, leader: 1 }, 10_001, 1);
  // Nothing of a read asks for the group.
  table = { id: 10_001, machine, header } as unknown as RunningTable;
  for (let at = 0; at < KEYS; at++) put(`key/${String(at).padStart(4, '0')}`, 'value');
});

describe('a read that may take long', () => {
  it('answers in the tick it was asked when there is time enough', () => {
    const clock = new StepClock(0);
    const answer = new SlicedReads(clock).range(table, ALL, CALL);
    expect(answer).toEqual(rangeAnswer(table.header.ofRead(), machine.range(ALL)));
    expect(clock.turns).toBe(0);
  });

  it('is the same answer byte for byte when others take their turns in between and write', async () => {
    for (const options of [{}, { countOnly: true }, { keysOnly: true }, { limit: 700 }, {}]) {
      const query = { ...ALL, ...options };
      const expected = rangeAnswer(table.header.ofRead(), machine.range(query));
      const clock = new StepClock(3);
      clock.onTurn = () => put('key/0999', 'written between');
      const answer = await new SlicedReads(clock).range(table, query, CALL);
      expect(Buffer.compare(answer, expected)).toBe(0);
      expect(clock.turns).toBeGreaterThan(1);
      expect(RangeResponse.decode(answer).header?.raftTerm).toBe(2n);
    }
  });

  it('of a Txn shows one moment, and gives others their turns', async () => {
    const value = { ...ALL, limit: 0n, keysOnly: false, countOnly: false };
    const operation: mvccV1.RequestOp = { request: { $case: 'requestRange', value } };
    const txn: mvccV1.Txn = { compare: [], success: [operation, operation], failure: [] };
    const clock = new StepClock(1);
    clock.onTurn = () => put('key/0000', 'written between');
    const expected = txnAnswer(table.header.ofRead(), machine.evaluateReadOnlyTxn(txn));
    const answer = await new SlicedReads(clock).txn(table, txn, CALL, (result) =>
      txnAnswer(table.header.ofRead(), result),
    );
    expect(Buffer.compare(answer, expected)).toBe(0);
    expect(clock.turns).toBeGreaterThan(1);
  });

  it('ends when nobody waits for it any more', async () => {
    const clock = new StepClock(10);
    const answer = new SlicedReads(clock).range(table, ALL, { ...CALL, cancelled: true });
    await expect(answer).rejects.toMatchObject({ code: 1 });
  });

  it('is refused when too many are open, and takes no place when it is over', async () => {
    const clock = new StepClock(10);
    const reads = new SlicedReads(clock);
    const gate: { open: () => void } = { open: () => undefined };
    const opened = new Promise<void>((resolve) => (gate.open = resolve));
    let closed = 0;
    const held = Array.from({ length: OPEN_VIEWS_MAX }, () =>
      reads.holding({ close: () => void closed++ }, () => opened),
    );
    const busy = { code: 14, message: 'system is too busy try again later' };
    await expect(reads.range(table, ALL, CALL)).rejects.toMatchObject(busy);
    gate.open();
    await Promise.all(held);
    expect(closed).toBe(OPEN_VIEWS_MAX);
    await expect(reads.range(table, ALL, CALL)).resolves.toBeInstanceOf(Uint8Array);
  });
});
