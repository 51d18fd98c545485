/**
 * Any state of a table, given away and taken over, against the table it came from: the same rows, the
 * same answer to every read at every revision, and the same results of what is applied afterwards.
 */
import fc from 'fast-check';
import { type mvccV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { type Engine } from '../engine/engine.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import {
  bytes,
  del,
  deleteBatch,
  dummy,
  entry,
  FROM_KEY,
  put,
  putBatch,
  shownFully,
  shownResponse,
} from '../testing/commands.js';
import { readRange } from '../testing/engine-compliance.js';
import { type Keyspace } from './keyspace.js';
import { activeKeyspace } from './slots.js';
import { TableStateMachine } from './table-state-machine.js';
import { openStage } from './table-stage.js';

const FROM_ID = 7;
const TO_ID = 10_001;
const LARGE_BYTES = 1024 * 1024 + 3;

// Few keys besides the random ones, so that versions are superseded and deleted.
const key = fc.oneof(
  fc.constantFrom('', '\0', 'a', 'a\0', 'a\0\xff', 'a\0\x01', '\xff', '\xff\xff'),
  fc.uint8Array({ maxLength: 3 }).map((any) => Buffer.from(any).toString('latin1')),
);
const value = fc.oneof(
  { weight: 16, arbitrary: fc.constantFrom('', '\0', 'v', '\xff\0') },
  { weight: 1, arbitrary: fc.constantFrom('x'.repeat(LARGE_BYTES), 'x'.repeat(100_000)) },
);
const pair = fc.tuple(key, value);

const command: fc.Arbitrary<mvccV1.Command | undefined> = fc.oneof(
  { weight: 6, arbitrary: pair.map(([k, v]) => put(k, v)) },
  { weight: 2, arbitrary: key.map((k) => del(k)) },
  { weight: 1, arbitrary: fc.tuple(key, key).map(([k, end]) => del(k, end)) },
  { weight: 2, arbitrary: fc.array(pair, { maxLength: 4 }).map((all) => putBatch(all)) },
  { weight: 1, arbitrary: fc.array(key, { maxLength: 4 }).map((all) => deleteBatch(all)) },
  // Numbering begins anew: what follows supersedes versions of another epoch.
  { weight: 1, arbitrary: fc.constant(dummy({ leaderIndex: 0n })) },
  { weight: 1, arbitrary: fc.constant(undefined) },
);
const log = fc.array(command, { maxLength: 25 });

const history = fc.record({
  first: log,
  compactedShare: fc.double({ min: 0, max: 1, noNaN: true }),
  rowsMax: fc.integer({ min: 1, max: 20 }),
  second: log,
  later: log,
});

function applyTo(table: TableStateMachine, commands: readonly (mvccV1.Command | undefined)[]) {
  return commands.map((one) => {
    const [result] = table.apply([entry(table.state.appliedIndex + 1, one)]);
    return { ...result, responses: result?.responses.map(shownResponse) };
  });
}

function install(engine: Engine, from: TableStateMachine): TableStateMachine {
  const to = new TableStateMachine({ engine, tableId: TO_ID });
  const view = from.openSnapshot();
  const stage = openStage({ engine, tableId: TO_ID });
  for (let chunk = view.next(); chunk; chunk = view.next()) stage.write(chunk.data);
  expect(stage.state).toMatchObject(from.state);
  stage.finish(bytes('note'));
  to.installStaged();
  to.removeInactive();
  return to;
}

/** Rows without table id and slot. */
function rowsOf(engine: Engine, tableId: number): string[] {
  const keyspace: Keyspace = activeKeyspace(engine, tableId);
  return readRange(engine, keyspace.everything()).map((item, at) =>
    at % 2 === 0 ? keyspace.portableKey(bytes(item)).toString('latin1') : item,
  );
}

/** Whatever can be read at a revision, errors included. */
function answersAt(table: TableStateMachine, revision: number, keys: readonly string[]): unknown {
  try {
    const all = { key: bytes(''), rangeEnd: FROM_KEY, revision };
    const rows: string[] = [];
    const pages = table.iterate({ ...all, pageBytesMax: 4_096 });
    for (let page = pages.next(); page; page = pages.next()) rows.push(...page.kvs.map(shownFully));
    const { kvs, count } = table.range({ ...all, keysOnly: true, limit: 3 });
    const single = keys.map((one) => table.get(bytes(one), { revision }));
    const counted = table.range({ ...all, countOnly: true }).count;
    return [rows, kvs.map(shownFully), count, counted, single.map((row) => row && shownFully(row))];
  } catch (error) {
    return (error as { code?: string }).code;
  }
}

function expectSame(to: TableStateMachine, from: TableStateMachine): void {
  expect({ ...to.stats(), tableId: 0 }).toEqual({ ...from.stats(), tableId: 0 });
  const keys = new Set(['', '\0', 'a', 'a\0', '\xff']);
  for (const row of from.range({ key: bytes(''), rangeEnd: FROM_KEY, keysOnly: true }).kvs) {
    keys.add(row.key.toString('latin1'));
  }
  for (let revision = 0; revision <= from.state.revision + 1; revision++) {
    const expected = answersAt(from, revision, [...keys]);
    // No message in the form of rows: they may be a megabyte long.
    expect(JSON.stringify(answersAt(to, revision, [...keys])) === JSON.stringify(expected)).toBe(
      true,
    );
  }
}

describe('a snapshot taken over', () => {
  it('answers every read at every revision as the table it came from, and goes on alike', () => {
    fc.assert(
      fc.property(history, ({ first, compactedShare, rowsMax, second, later }) => {
        const [source, target] = [openMemoryEngine(), openMemoryEngine()];
        const from = new TableStateMachine({ engine: source, tableId: FROM_ID });
        applyTo(from, [dummy(), ...first]);
        from.compact(Math.floor(from.state.revision * compactedShare), { rowsMax });
        applyTo(from, second);
        const to = install(target, from);
        expect(rowsOf(target, TO_ID)).toEqual(rowsOf(source, FROM_ID));
        expectSame(to, from);
        expect(applyTo(to, later)).toEqual(applyTo(from, later));
        for (const table of [from, to]) while (!table.compact(table.state.revision).done);
        expect(rowsOf(target, TO_ID)).toEqual(rowsOf(source, FROM_ID));
        // Back into the first slot, over what lies in the second.
        applyTo(from, [dummy()]);
        expectSame(install(target, from), from);
      }),
      { numRuns: 50 },
    );
  });
});
