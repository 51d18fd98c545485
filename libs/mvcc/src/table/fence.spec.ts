/**
 * Commands of a follower cluster that come from an epoch or a token of before.
 */
import { type mvccV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { type Engine } from '../engine/engine.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import { adopt, bytes, entries, FROM_KEY, put, sequence, shownFully } from '../testing/commands.js';
import { openStage } from './table-stage.js';
import { TableStateMachine } from './table-state-machine.js';
import { type ApplyResult } from './table-types.js';

const TABLE_ID = 1;

const openTable = (engine: Engine): TableStateMachine =>
  new TableStateMachine({ engine, tableId: TABLE_ID });

/** A batch of puts of the same key at these leader indexes, by whoever holds the token. */
function batch(epoch: number, token: number, ...indexes: number[]): mvccV1.Command {
  const members = indexes.map((at) => put('k', String(at), { leaderIndex: BigInt(at) }));
  return sequence(members, { fence: { epoch: BigInt(epoch), token: BigInt(token) } });
}

/** One put, and the check that its entry has in the leader cluster. */
function checkedBatch(token: number, index: number, check: bigint | undefined): mvccV1.Command {
  const fence = { epoch: 7n, token: BigInt(token), check };
  return sequence([put('k', 'v', { leaderIndex: BigInt(index) })], { fence });
}

function run(table: TableStateMachine, command: mvccV1.Command): ApplyResult | undefined {
  return table.apply(entries([command], table.state.appliedIndex))[0];
}

const rows = (table: TableStateMachine): string[] =>
  table.range({ key: bytes(''), rangeEnd: FROM_KEY }).kvs.map(shownFully);

describe('the fence of a table in a follower cluster', () => {
  it('B5: a batch under a token of before changes nothing, however new what it holds is', () => {
    const table = openTable(openMemoryEngine());
    expect(run(table, batch(7, 1, 3, 4))).toMatchObject({ skipped: false, revision: 4 });
    expect(run(table, batch(7, 2, 5))).toMatchObject({ skipped: false, revision: 5 });
    expect(run(table, batch(7, 1, 6))).toMatchObject({ skipped: true, refused: 'token' });
    expect(rows(table)).toEqual(['k=5@3/5/3']);
    expect(table.state).toMatchObject({ appliedIndex: 3, leaderIndex: 5 });
  });

  it('B4: a batch of another epoch is refused, older and newer alike, and is not remembered', () => {
    const table = openTable(openMemoryEngine());
    run(table, batch(7, 1, 3));
    expect(run(table, batch(6, 9, 4))?.refused).toBe('epoch');
    expect(run(table, batch(8, 9, 5))?.refused).toBe('epoch');
    expect(table.state.fence).toEqual({ epoch: 7, token: 1 });
    expect(run(table, batch(7, 1, 4))?.refused).toBeUndefined();
  });

  it('an empty batch takes the table over: what older tokens still send comes too late', () => {
    const table = openTable(openMemoryEngine());
    run(table, batch(7, 1, 3));
    const claimed = run(table, batch(7, 2));
    expect(claimed).toMatchObject({ skipped: false });
    expect(claimed?.refused).toBeUndefined();
    expect(table.state).toMatchObject({ leaderIndex: 3, revision: 3 });
    expect(run(table, batch(7, 1, 4))?.refused).toBe('token');
  });

  it('an index that does not grow is left out of a batch that passes the fence', () => {
    const table = openTable(openMemoryEngine());
    run(table, batch(7, 1, 3, 4));
    expect(run(table, batch(7, 2, 4, 5))).toMatchObject({ skipped: false, revision: 5 });
    expect(rows(table)).toEqual(['k=5@3/5/3']);
    expect(run(table, batch(7, 2, 5))?.skipped).toBe(true);
  });

  it('is there after a restart, and on a replica that got the state as a snapshot', () => {
    const engine = openMemoryEngine();
    const table = openTable(engine);
    run(table, batch(7, 4, 3));
    expect(openTable(engine).state).toEqual(table.state);

    const other = openMemoryEngine();
    const stage = openStage({ engine: other, tableId: TABLE_ID });
    const view = table.openSnapshot();
    for (let chunk = view.next(); chunk; chunk = view.next()) stage.write(chunk.data);
    view.close();
    stage.finish(bytes('note'));
    const copy = openTable(other);
    copy.installStaged();
    expect(copy.state.fence).toEqual({ epoch: 7, token: 4 });
    expect(run(copy, batch(7, 3, 9))?.refused).toBe('token');
  });

  it('a table that never was fenced has no fence, and its meta row no room for one', () => {
    const engine = openMemoryEngine();
    const table = openTable(engine);
    run(table, put('k', '1'));
    expect(table.state.fence).toBeUndefined();
    expect(openTable(engine).state.fence).toBeUndefined();
  });
});

describe('the check of the entry that a copy stands at', () => {
  it('comes with what moves the copy, and goes with what moves it without one', () => {
    const table = openTable(openMemoryEngine());
    run(table, checkedBatch(1, 3, 33n));
    expect(table.state).toMatchObject({ leaderIndex: 3, leaderCheck: 33n });
    run(table, checkedBatch(1, 4, 44n));
    expect(table.state.leaderCheck).toBe(44n);
    run(table, checkedBatch(1, 5, undefined));
    expect(table.state).toMatchObject({ leaderIndex: 5, leaderCheck: undefined });
    run(table, checkedBatch(1, 6, 66n));
    run(table, put('k', 'v', { leaderIndex: 7n }));
    expect(table.state).toMatchObject({ leaderIndex: 7, leaderCheck: undefined });
  });

  it('stays when nothing moves: by an empty batch, one that was applied, and one that is refused', () => {
    const table = openTable(openMemoryEngine());
    run(table, checkedBatch(2, 3, 33n));
    run(table, batch(7, 2));
    run(table, checkedBatch(2, 3, 99n));
    expect(run(table, checkedBatch(1, 4, 44n))?.refused).toBe('token');
    expect(table.state).toMatchObject({ leaderIndex: 3, leaderCheck: 33n });
  });

  it('is there after a restart, and on a replica that got the state as a snapshot', () => {
    const engine = openMemoryEngine();
    const table = openTable(engine);
    run(table, checkedBatch(1, 3, 2n ** 64n - 1n));
    expect(openTable(engine).state).toEqual(table.state);
    const other = openMemoryEngine();
    const stage = openStage({ engine: other, tableId: TABLE_ID });
    const view = table.openSnapshot();
    for (let chunk = view.next(); chunk; chunk = view.next()) stage.write(chunk.data);
    view.close();
    stage.finish(bytes('note'));
    const copy = openTable(other);
    copy.installStaged();
    expect(copy.state.leaderCheck).toBe(2n ** 64n - 1n);
  });

  it('is what an adoption says of a copy, and is gone from a table of the cluster itself', () => {
    const table = openTable(openMemoryEngine());
    run(table, adopt(undefined, 20, 7, 55n));
    expect(table.state).toMatchObject({ leaderIndex: 20, leaderCheck: 55n });
    run(table, checkedBatch(1, 21, 66n));
    run(table, adopt(undefined, 40));
    expect(table.state).toMatchObject({ leaderIndex: 0, leaderCheck: undefined });
  });
});
