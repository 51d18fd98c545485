/**
 * Change rows and reads at revisions, after crashes, compaction and snapshots: what a watch will
 * have to go by. Named after the classes of bugs that have hit the watches of etcd (docs/testing.md).
 */
import { describe, expect, it } from 'vitest';
import { type Engine } from '../engine/engine.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import { bytes, del, entries, FROM_KEY, put, putBatch, text } from '../testing/commands.js';
import {
  applyLog,
  atEveryCrash,
  codeAt,
  installed,
  LAST,
  logOf,
  newTable,
  shownAt,
  TABLE_ID,
  tableOf,
} from '../testing/every-crash.js';
import { contentOf, type ContentChange } from '../testing/table-content.js';
import { type TableStateMachine } from './table-state-machine.js';

/** What one step of a compaction removes. */
const STEP_ROWS_MAX = 3;

describe('compaction at the revision of a delete (etcd #18089, #19179)', () => {
  it('the key is gone at that revision, and all that changed later is still listed', () => {
    const engine = openMemoryEngine();
    const log = [put('a', '1'), put('b', '1'), del('a'), put('b', '2'), del('b'), put('a', '2')];
    const table = tableOf(entries(log), engine);
    const before = changesOf(engine, 0);
    while (!table.compact(3, { rowsMax: 1 }).done);
    expect(shownAt(table, 3)).toEqual(['b=1@2/2/1']);
    expect([4, 5, 6].map((revision) => shownAt(table, revision))).toEqual([
      ['b=2@2/4/2'],
      [],
      ['a=2@6/6/1'],
    ]);
    // The change of the compacted revision itself is not listed any more.
    expect(changesOf(engine, 0)).toEqual(before.filter(({ revision }) => revision > 3));
    while (!table.compact(5, { rowsMax: 1 }).done);
    expect(shownAt(table, 5)).toEqual([]);
    expect(changesOf(engine, 0)).toEqual([{ revision: 6, key: 'a', isPut: true }]);
  });
});

type Change = Pick<ContentChange, 'revision' | 'key' | 'isPut'>;

/** What the change rows list behind a revision, as they lie in the engine. */
function changesOf(engine: Engine, after: number): Change[] {
  const { changes } = contentOf(engine, TABLE_ID);
  return changes
    .filter(({ revision }) => revision > after)
    .map(({ revision, key, isPut }) => ({ revision, key, isPut }));
}

/** The same from the rows at each revision and the one before, in the order of revision and key. */
function changesByReads(table: TableStateMachine, after: number): Change[] {
  const changes: Change[] = [];
  for (let revision = after + 1; revision <= table.state.revision; revision++) {
    const rowsAt = (at: number) =>
      at === 0 ? [] : table.range({ key: bytes(''), rangeEnd: FROM_KEY, revision: at }).kvs;
    const now = new Map(rowsAt(revision).map((row) => [text(row.key), row.modRevision]));
    const keys = new Set([...now.keys(), ...rowsAt(revision - 1).map((row) => text(row.key))]);
    for (const key of [...keys].sort()) {
      const modRevision = now.get(key);
      if (modRevision === undefined || modRevision === revision) {
        changes.push({ revision, key, isPut: modRevision !== undefined });
      }
    }
  }
  return changes;
}

function sorted(changes: readonly Change[]): Change[] {
  return [...changes].sort((a, b) => a.revision - b.revision || (a.key < b.key ? -1 : 1));
}

// There is no watch yet: these are the things it will have to go by.
describe('what a watch goes by: resume, replay, order (etcd #15220, #15271, #17529, #20221)', () => {
  const whole = tableOf(logOf(1, LAST));

  /** Each change once, all of one revision together, revisions in their order, none missing. */
  function expectWhole(engine: Engine, label: string): void {
    const { compactedRevision, revision } = newTable(engine).state;
    const listed = changesOf(engine, compactedRevision);
    const revisions = listed.map((change) => change.revision);
    expect(revisions, label).toEqual([...revisions].sort((a, b) => a - b));
    const expected = changesByReads(whole, compactedRevision);
    expect(sorted(listed), label).toEqual(expected.filter((each) => each.revision <= revision));
  }

  it('every change is listed once and in order, after a crash and what is replayed too', () => {
    expect(changesByReads(whole, 0).length).toBeGreaterThan(LAST / 2);
    atEveryCrash(applyLog, (engine, label) => {
      expectWhole(engine, label);
      const { appliedIndex } = newTable(engine).state;
      newTable(engine).apply(logOf(Math.max(1, appliedIndex - 5), LAST));
      expectWhole(engine, `${label}, replayed`);
      expect(newTable(engine).state.revision).toBe(whole.state.revision);
    });
  });

  it('and so it does behind a compaction, however far that got', () => {
    const engine = openMemoryEngine();
    const table = tableOf(logOf(1, LAST), engine);
    for (const target of [1, 7, 20, LAST - 10]) {
      for (let done = false; !done;) {
        ({ done } = table.compact(target, { rowsMax: STEP_ROWS_MAX }));
        expectWhole(engine, `compacted to ${target}`);
      }
    }
  });

  it('and so it does on a replica that got a snapshot between any two entries', () => {
    for (let at = 1; at < LAST; at += 7) {
      const engine = openMemoryEngine();
      const table = installed(tableOf(logOf(1, at)), engine);
      expectWhole(engine, `snapshot of ${at}`);
      table.apply(logOf(at + 1, LAST));
      expectWhole(engine, `snapshot of ${at}, and what came later`);
    }
  });

  it('a long list of one revision is all there or not at all', () => {
    const many = Array.from({ length: 3_000 }, (_, at): [string, string] => [
      `${'k'.repeat(60)}${at}`,
      '1',
    ]);
    const run = (engine: Engine): void => {
      tableOf(entries([put('a', '1'), putBatch(many), put('a', '2')]), engine);
    };
    atEveryCrash(run, (engine, label) => {
      const { appliedIndex } = newTable(engine).state;
      const count = changesOf(engine, 1).filter(({ revision }) => revision === 2).length;
      expect(count, label).toBe(appliedIndex >= 2 ? many.length : 0);
    });
  });

  it('a replica that is behind refuses a revision it has not seen, until it has', () => {
    const behind = tableOf(logOf(1, LAST - 10));
    const { revision } = whole.state;
    expect(codeAt(behind, revision)).toBe('TABLE_FUTURE_REVISION');
    behind.apply(logOf(LAST - 9, LAST));
    expect(shownAt(behind, revision)).toEqual(shownAt(whole, revision));
    expect(codeAt(behind, revision + 1)).toBe('TABLE_FUTURE_REVISION');
  });
});
