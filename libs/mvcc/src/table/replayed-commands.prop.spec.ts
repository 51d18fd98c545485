/**
 * A table as a leader cluster has it, against one that is filled with its rows as of any revision and with
 * the commands after it: in whatever batches, with whatever is sent twice or by whoever was there before,
 * and with the power going in between.
 */
import fc from 'fast-check';
import { mvccV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import {
  adopt,
  bytes,
  compare,
  del,
  deleteBatch,
  dummy,
  entry,
  fill,
  FROM_KEY,
  opDelete,
  opPut,
  opRange,
  put,
  putBatch,
  sequence,
  txn,
} from '../testing/commands.js';
import { SimulatedEngine } from '../testing/simulated-engine.js';
import { contentOf } from '../testing/table-content.js';
import { TableStateMachine } from './table-state-machine.js';
import { type ApplyResult, type LogEntry, type TableRow } from './table-types.js';

const TABLE_ID = 1;
const RUNS = 300;

const key = fc.constantFrom('', '\0', 'a', 'a\0', 'b', 'c', 'd', '\xff');
const rangeEnd = fc.constantFrom('', '\0', 'b', 'c\0');
const value = fc.constantFrom('', '1', '2', 'longer');
const operator = fc.constantFrom('EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL' as const);
const condition = fc
  .tuple(key, operator, fc.option(value, { nil: undefined }), rangeEnd)
  .map(([k, one, v, end]) => compare(k, one, v, end));
const operation = fc.oneof(
  fc.tuple(key, value).map(([k, v]) => opPut(k, v)),
  fc.tuple(key, rangeEnd).map(([k, end]) => opDelete(k, end)),
  key.map((k) => opRange(k)),
);
const transaction = fc
  .record({
    compare: fc.array(condition, { maxLength: 2 }),
    success: fc.array(operation, { maxLength: 4 }),
    failure: fc.array(operation, { maxLength: 3 }),
  })
  .map((parts) => txn(parts));

const single: fc.Arbitrary<mvccV1.Command> = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(key, value).map(([k, v]) => put(k, v)) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(key, fc.option(rangeEnd, { nil: undefined }))
      .map(([k, end]) => del(k, end, { prevKvs: true })),
  },
  {
    weight: 1,
    arbitrary: fc.array(fc.tuple(key, value), { maxLength: 4 }).map((all) => putBatch(all)),
  },
  { weight: 1, arbitrary: fc.array(key, { maxLength: 4 }).map((all) => deleteBatch(all)) },
  { weight: 3, arbitrary: transaction },
  {
    weight: 1,
    arbitrary: fc.constantFrom(dummy(), dummy({ type: mvccV1.Command_CommandType.GC })),
  },
);
const log = fc.array(
  fc.oneof(
    { weight: 10, arbitrary: single },
    {
      weight: 1,
      arbitrary: fc.array(single, { maxLength: 4 }).map((members) => sequence(members)),
    },
    { weight: 1, arbitrary: fc.constant(undefined) },
  ),
  { minLength: 1, maxLength: 40 },
);

/** What comes before the batch that is due. */
const noise = fc.constantFrom(
  ...(['nothing', 'again', 'too early', 'too low', 'old token', 'new token', 'restart'] as const),
);
const sending = fc.array(
  fc.record({ items: fc.integer({ min: 1, max: 6 }), noise, lost: fc.nat(5) }),
  { minLength: 1, maxLength: 20 },
);
type Sending = typeof sending extends fc.Arbitrary<infer T> ? T : never;

const WRONG = put('a', 'wrong', { leaderIndex: 2n ** 40n });

/** A replica whose engine forgets what was written last, and which applies its log again. */
class Shadow {
  private engine = new SimulatedEngine();
  private table = this.open();
  private readonly log: LogEntry[] = [];

  get content(): ReturnType<typeof contentOf> {
    return contentOf(this.engine, TABLE_ID);
  }

  get state(): TableStateMachine {
    return this.table;
  }

  run(command: mvccV1.Command): ApplyResult | undefined {
    const next = entry(this.log.length + 1, command);
    this.log.push(next);
    return this.table.apply([next])[0];
  }

  restart(lost: number): void {
    this.engine = this.engine.crash((below) => Math.max(0, below - 1 - lost));
    this.table = this.open();
    this.table.apply(this.log);
  }

  private open(): TableStateMachine {
    return new TableStateMachine({ engine: this.engine, tableId: TABLE_ID });
  }
}

function filled(
  rows: readonly TableRow[],
  commands: mvccV1.Command[],
  plan: Sending,
  revision: number,
): Shadow {
  const shadow = new Shadow();
  let [token, batch, at] = [2, 1, 0];
  let before = fill(token, 0);
  shadow.run(before);
  for (let step = 0; at < rows.length + commands.length; step += 1) {
    const { items, noise: what, lost } = plan[step % plan.length] ?? plan[0] ?? fail();
    const firstCommand = Math.max(0, at - rows.length);
    const [from, to] = [firstCommand, Math.max(0, at + items - rows.length)];
    const due = commands.slice(from, to);
    if (what === 'again') shadow.run(before);
    if (what === 'too early') shadow.run(fill(token, batch + 1, [], '', [WRONG]));
    if (what === 'old token') shadow.run(fill(token - 1, batch, [], '', [WRONG]));
    if (what === 'new token') shadow.run(fill((token += 1), 0));
    if (what === 'restart') shadow.restart(lost);
    if (what === 'too low' && firstCommand > 0) {
      const low = commands.slice(firstCommand - 1, to);
      expect(shadow.run(fill(token, batch, [], '', low))?.fillRefused).toBe('revision');
    }
    before = fill(token, batch, rows.slice(at, at + items), `${at}`, due);
    expect(shadow.run(before)).toMatchObject({ succeeded: true });
    batch += 1;
    at += items;
  }
  shadow.run(adopt(token, revision));
  return shadow;
}

function fail(): never {
  throw new Error('a plan of nothing');
}

describe('a table that is filled with rows and the commands after them', () => {
  it('equals the table that the log was applied to, whatever the batches and the breaks', () => {
    fc.assert(
      fc.property(log, fc.nat(), sending, (all, cut, plan) => {
        const engine = openMemoryEngine();
        const direct = new TableStateMachine({ engine, tableId: TABLE_ID });
        const entries = all.map((command, at) => entry(at + 1, command));
        const upTo = cut % (all.length + 1);
        direct.apply(entries.slice(0, upTo));
        const rows = direct.range({ key: bytes(''), rangeEnd: FROM_KEY }).kvs;
        direct.apply(entries.slice(upTo));
        const commands = all.flatMap((command, at) =>
          command && at >= upTo ? [{ ...command, leaderIndex: BigInt(at + 1) }] : [],
        );
        const { keys, liveBytes, revision } = direct.stats();
        const shadow = filled(rows, commands, plan, revision);
        const { live, changes } = shadow.content;
        expect(live).toEqual(contentOf(engine, TABLE_ID).live);
        expect(changes).toEqual([]);
        const stats = shadow.state.stats();
        expect(stats).toMatchObject({ keys, liveBytes, historyRows: 0, epoch: 1 });
        expect(stats.revision).toBeGreaterThanOrEqual(revision);
      }),
      { numRuns: RUNS },
    );
  });
});
