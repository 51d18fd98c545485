/**
 * Commands of a log that go on from rows, in a table that is filled: what they make of the rows, and what
 * is refused without a trace.
 */
import { mvccV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import {
  adopt,
  bytes,
  compare,
  del,
  dummy,
  entries,
  fill,
  FROM_KEY,
  opPut,
  put,
  sequence,
  shownFully,
  txn,
} from '../testing/commands.js';
import { contentOf } from '../testing/table-content.js';
import { faultOfBatch, NOTHING_FILLED } from './replayed-commands.js';
import { TableStateMachine } from './table-state-machine.js';
import { type ApplyResult, type TableRow } from './table-types.js';

const TABLE_ID = 1;

const openTable = (engine = openMemoryEngine()): TableStateMachine =>
  new TableStateMachine({ engine, tableId: TABLE_ID });

function run(table: TableStateMachine, command: mvccV1.Command): ApplyResult {
  const [result] = table.apply(entries([command], table.state.appliedIndex));
  if (!result) throw new Error('an entry without a result');
  return result;
}

const shown = (table: TableStateMachine): string[] =>
  table.range({ key: bytes(''), rangeEnd: FROM_KEY }).kvs.map(shownFully);

const row = (key: string, value: string, created: number, changed: number, version: number) => ({
  ...{ key: bytes(key), value: bytes(value), createRevision: created, modRevision: changed },
  ...{ version, lease: 0 },
});

const at = (revision: number, command: mvccV1.Command): mvccV1.Command => ({
  ...command,
  leaderIndex: BigInt(revision),
});

const A: TableRow = row('a', '1', 3, 30, 4);
const B: TableRow = row('b', '2', 20, 20, 1);

describe('commands that go on from rows', () => {
  it('leave the rows that the table had at that revision, and no history', () => {
    const engine = openMemoryEngine();
    const table = openTable(engine);
    const onA = txn({ compare: [compare('a', 'EQUAL', '1')], success: [opPut('a', 'yes')] });
    run(table, fill(1, 1, [A, B], 'rows', [at(31, put('b', '3')), at(35, onA)]));
    expect(shown(table)).toEqual(['a=yes@3/35/5', 'b=3@20/31/2']);
    const more = [at(36, del('a', 'b')), at(40, put('a', 'new')), at(44, dummy())];
    run(table, fill(1, 2, [], 'log', more));
    expect(shown(table)).toEqual(['a=new@40/40/1', 'b=3@20/31/2']);
    expect(table.state).toMatchObject({ revision: 44, fill: { batches: 2, note: bytes('log') } });
    expect(run(table, adopt(1, 44))).toMatchObject({ revision: 44 });
    expect(table.stats()).toMatchObject({ historyRows: 0, compactedRevision: 44, leaderIndex: 0 });
    expect(contentOf(engine, TABLE_ID).changes).toEqual([]);
    expect(() => table.get(bytes('a'), { revision: 43 })).toThrow('compacted');
    expect(run(table, put('b', '4')).revision).toBe(45);
    expect(table.get(bytes('b'), { revision: 44 })?.value).toEqual(bytes('3'));
  });

  it('a sequence is applied as a copy applies it: each member at its revision', () => {
    const members = [at(31, put('a', '2')), at(33, del('b')), at(34, put('b', 'again'))];
    const [table, copy] = [openTable(), openTable()];
    run(table, fill(1, 1, [A, B], '', [at(36, sequence(members))]));
    run(copy, fill(1, 1, [A, B]));
    run(copy, adopt(1, 30, 7));
    run(copy, at(36, sequence(members)));
    expect(shown(table)).toEqual(['a=2@3/31/5', 'b=again@34/34/1']);
    expect(shown(table)).toEqual(shown(copy));
    expect(table.state.revision).toBe(copy.state.revision);
  });

  it('that do not lie above what is there are refused as a whole, with the rows beside them', () => {
    const table = openTable();
    run(table, fill(1, 1, [A], 'first', [at(31, put('k', '1'))]));
    const before = table.stats();
    const refused = [
      fill(1, 2, [], 'x', [at(31, put('k', '2'))]),
      fill(1, 2, [], 'x', [at(32, put('k', '2')), at(32, put('k', '3'))]),
      fill(1, 2, [B], 'x', [at(32, put('k', '2'))]),
      fill(1, 2, [B], 'x'),
    ];
    for (const [nth, each] of refused.entries()) {
      expect(run(table, each)).toMatchObject({ fillRefused: 'revision', skipped: true });
      const appliedIndex = before.appliedIndex + nth + 1;
      expect(table.stats()).toEqual({ ...before, appliedIndex });
    }
    const other = openTable();
    expect(run(other, fill(1, 1, [A], '', [at(30, put('k', '1'))])).fillRefused).toBe('revision');
    expect(shown(other)).toEqual([]);
    expect(run(table, fill(1, 2, [], '', [at(32, put('k', '2'))])).fillRefused).toBeUndefined();
    expect(shown(table)).toEqual(['a=1@3/30/4', 'k=2@31/32/2']);
  });

  it('of a batch that is sent again are not applied again', () => {
    const table = openTable();
    const once = txn({ compare: [compare('k')], failure: [opPut('k', '1')] });
    const batch = fill(1, 1, [], '', [at(5, once)]);
    run(table, batch);
    expect(run(table, batch)).toMatchObject({ succeeded: true });
    run(table, fill(2, 0));
    expect(run(table, fill(2, 1, [], '', [at(6, put('k', '2'))])).succeeded).toBe(true);
    expect(shown(table)).toEqual(['k=1@5/5/1']);
  });
});

describe('a command that no table can apply', () => {
  const { TXN } = mvccV1.Command_CommandType;
  const own = put('k', 'v');
  const cases: [string, mvccV1.Command][] = [
    ['commands[1].leader_index must be set', own],
    ['commands[1].leader_index is too large', { ...own, leaderIndex: 2n ** 60n }],
    [
      'commands[1].type is not a known type: 9',
      at(9, { ...own, type: 9 as mvccV1.Command_CommandType }),
    ],
    ['commands[1].kv must be set', at(9, { ...own, kv: undefined })],
    ['commands[1].txn must be set', at(9, { ...own, type: TXN })],
    ['commands[1].fence must not be set', at(9, { ...own, fence: { epoch: 1n, token: 1n } })],
    ['commands[1].fill must not be set', at(9, { ...fill(1, 1) })],
    ['commands[1].adoption must not be set', at(9, adopt(1, 100))],
    ['commands[1].sequence[0].type must not be SEQUENCE', at(9, sequence([sequence([])]))],
    ['commands[1].sequence[0].kv must be set', at(9, sequence([{ ...own, kv: undefined }]))],
    [
      'commands[1].sequence[0].leader_index must be above 8 and at most 20, got 0',
      at(20, sequence([at(0, dummy())])),
    ],
    [
      'commands[1].sequence[1].leader_index must be above 10 and at most 20, got 10',
      at(20, sequence([at(10, own), at(10, own)])),
    ],
    [
      'commands[1].sequence[0].leader_index must be above 8 and at most 20, got 21',
      at(20, sequence([at(21, own)])),
    ],
    [
      'commands[1].sequence[1].leader_index must be set in all members or in none',
      at(20, sequence([own, at(10, own)])),
    ],
  ];

  it.each(cases)('is told by its field, and refused where it is applied: %s', (text, command) => {
    const content = { rowCount: 0, newestRow: 0, commands: [at(8, own), command] };
    expect(faultOfBatch(NOTHING_FILLED, content)).toEqual({ refusal: 'malformed', text });
    const table = openTable();
    run(table, fill(1, 1, [row('a', '1', 3, 7, 4)]));
    expect(run(table, fill(1, 2, [], '', content.commands)).fillRefused).toBe('malformed');
    expect(shown(table)).toEqual(['a=1@3/7/4']);
    expect(table.state).toMatchObject({ revision: 7, epoch: 1, fill: { batches: 1 } });
  });

  it('is told with what it must lie above', () => {
    const content = { rowCount: 1, newestRow: A.modRevision, commands: [at(30, own)] };
    const text = 'commands[0].leader_index must be above 30, got 30';
    expect(faultOfBatch(NOTHING_FILLED, content)).toEqual({ refusal: 'revision', text });
  });
});
