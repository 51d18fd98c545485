/**
 * Classes of bugs that have hit etcd, each by name, where a table's state machine could have them too
 * (docs/testing.md lists all of them, with the tests of the other layers).
 *
 * In: one log over few keys, and a disk that forgets what was not synced. Every moment at which the
 * power can go is tried, and what is found afterwards is compared with what the log gives.
 */
import { type mvccV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { type Engine } from '../engine/engine.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import {
  compare,
  del,
  dummy,
  entries,
  entry,
  opDelete,
  opPut,
  opRange,
  put,
  sequence,
  shownResponse,
  txn,
} from '../testing/commands.js';
import {
  applyLog,
  atEveryCrash,
  codeAt,
  commandAt,
  installed,
  KEYS,
  LAST,
  logOf,
  newTable,
  rowsOf,
  shownAt,
  TABLE_ID,
  tableOf,
} from '../testing/every-crash.js';
import { type SimulatedEngine } from '../testing/simulated-engine.js';
import { contentOf, type TableContent } from '../testing/table-content.js';
import { Keyspace } from './keyspace.js';
import { type TableStateMachine } from './table-state-machine.js';

/** What a compaction leaves, and how much of it one step removes. */
const REVISIONS_KEPT = 12;
const STEP_ROWS_MAX = 2;
/** A compaction takes several steps, and entries come between them. */
const TARGET_STEP = 10;

const held = (engine: Engine): TableContent => contentOf(engine, TABLE_ID);

const known = new Map<number, TableContent>();
function heldAfter(index: number): TableContent {
  let content = known.get(index);
  if (!content) {
    const engine = openMemoryEngine();
    tableOf(logOf(1, index), engine);
    known.set(index, (content = held(engine)));
  }
  return content;
}

describe('applied index not atomic with data (etcd #13766)', () => {
  function expectPrefix(engine: Engine, label: string): void {
    const { appliedIndex } = newTable(engine).state;
    expect(held(engine), label).toEqual(heldAfter(appliedIndex));
    // As a restart does: from an entry on that is in the state already.
    newTable(engine).apply(logOf(Math.max(1, appliedIndex - 2), LAST));
    expect(held(engine), label).toEqual(heldAfter(LAST));
  }

  it('a crash between any two writes leaves the content of one prefix of the log, with its index', () => {
    expect(atEveryCrash(applyLog, expectPrefix)).toBeGreaterThan(20);
  });

  it('that is found where the applied index is written by itself, after or before the rows', () => {
    const { metaKey } = new Keyspace(TABLE_ID);
    const isMeta = (key: Uint8Array): boolean => metaKey.equals(key);
    for (const tears of [isMeta, (key: Uint8Array) => !isMeta(key)]) {
      const run = (engine: SimulatedEngine): void => {
        engine.tears = tears;
        applyLog(engine);
      };
      expect(() => atEveryCrash(run, expectPrefix)).toThrow();
    }
  });
});

describe('compaction and a crash (etcd #14685, #17780)', () => {
  const whole = tableOf(logOf(1, LAST));

  /** Entries and steps of compaction by turns, as a node does both. */
  function applyAndCompact(engine: Engine): void {
    const table = newTable(engine);
    for (let index = 1; index <= LAST; index++) {
      table.apply(logOf(index, index));
      const most = table.state.revision - REVISIONS_KEPT;
      const target = most - (most % TARGET_STEP);
      if (target > 0) table.compact(target, { rowsMax: STEP_ROWS_MAX });
    }
  }

  it('no revision goes back, and every one that is not given up reads as it did', () => {
    atEveryCrash(applyAndCompact, (engine, label) => {
      const found = newTable(engine);
      const { appliedIndex, revision, compactedRevision } = found.state;
      expect(revision, label).toBe(tableOf(logOf(1, appliedIndex)).state.revision);
      for (let at = Math.max(1, compactedRevision); at <= revision; at++) {
        expect(shownAt(found, at), `${label}, revision ${at}`).toEqual(shownAt(whole, at));
      }
      for (let at = 1; at < compactedRevision; at++) {
        expect(codeAt(found, at), `${label}, revision ${at}`).toBe('TABLE_COMPACTED');
      }
    });
  });

  it('what was cut short is finished, and leaves the content of one that no crash met', () => {
    const compactAll = (table: TableStateMachine): void => {
      while (!table.compact(LAST - REVISIONS_KEPT, { rowsMax: STEP_ROWS_MAX }).done);
    };
    const undisturbed = openMemoryEngine();
    compactAll(tableOf(logOf(1, LAST), undisturbed));
    atEveryCrash(applyAndCompact, (engine, label) => {
      compactAll(tableOf(logOf(1, LAST), engine));
      expect(held(engine), label).toEqual(held(undisturbed));
    });
  });
});

describe('Txn reading a compacted revision (etcd #18667)', () => {
  // A Txn names no revision: it reads the newest, and what a replica has compacted must not show.
  const reading = (key: string) =>
    txn({
      compare: [compare(key), compare('k0', 'NOT_EQUAL', 'at 1', 'k9')],
      success: [opPut(key, 'taken'), opRange('k0', 'k9'), opRange(key), opDelete(key)],
      failure: [opRange('k0', 'k9', { limit: 2 }), opPut(key, 'new'), opRange(key)],
    });

  function expectSameAnswers(...tables: readonly [TableStateMachine, TableStateMachine]): void {
    const all = opRange('k0', 'k9');
    const [one, other] = tables.map((table) => ({
      rows: shownAt(table),
      txn: table.evaluateReadOnlyTxn({ compare: [compare('k3')], success: [all], failure: [all] }),
    }));
    expect(one).toEqual(other);
  }

  it('gives the same results and rows on a replica that compacts all it can and one that never does', () => {
    const [compacted, kept] = [newTable(openMemoryEngine()), newTable(openMemoryEngine())];
    let index = 0;
    for (let step = 1; step <= LAST; step++) {
      for (const command of [commandAt(step), reading(`k${step % KEYS}`)]) {
        index++;
        const [one, other] = [compacted, kept].map((table) =>
          table
            .apply([entry(index, command)])
            .map((each) => ({ ...each, responses: each.responses.map(shownResponse) })),
        );
        expect(one).toEqual(other);
        expectSameAnswers(compacted, kept);
        compacted.compact(compacted.state.revision, { rowsMax: 1 + (step % 5) });
        expectSameAnswers(compacted, kept);
      }
    }
    expect(compacted.state.revision).toBe(kept.state.revision);
    expect(compacted.state.compactedRevision).toBe(kept.state.revision);
  });
});

// There are no users and roles yet: this is all that a table's snapshot carries.
describe('auth and snapshot inconsistency (etcd #14571)', () => {
  it('a snapshot leaves what the log would have: rows, revision, epoch, compacted, leader index', () => {
    const pulled = (leaderIndex: number): mvccV1.Command =>
      put(`k${leaderIndex % KEYS}`, `pulled ${leaderIndex}`, { leaderIndex: BigInt(leaderIndex) });
    const log = entries([
      ...Array.from({ length: 20 }, (_, at) => commandAt(at + 1) ?? dummy()),
      sequence([pulled(300), pulled(302), pulled(305)]),
      dummy({ leaderIndex: 0n }),
      ...Array.from({ length: 20 }, (_, at) => pulled(at + 1)),
      del('k2', 'k4', { leaderIndex: 21n }),
    ]);
    const cut = log.length - 4;
    const engines = [openMemoryEngine(), openMemoryEngine()] as const;
    const source = tableOf(log.slice(0, cut));
    source.compact(9);
    const byLog = tableOf(log.slice(0, cut), engines[0]);
    byLog.compact(9);
    const bySnapshot = installed(source, engines[1]);
    for (const rest of [[], log.slice(cut)]) {
      for (const table of [byLog, bySnapshot]) table.apply(rest);
      expect(bySnapshot.state).toEqual(byLog.state);
      expect(rowsOf(engines[1])).toEqual(rowsOf(engines[0]));
      // As found by the next process.
      expect(newTable(engines[1]).state).toEqual(byLog.state);
    }
    expect(byLog.state).toMatchObject({ epoch: 2, leaderIndex: 21, compactedRevision: 9 });
    for (const command of [pulled(21), pulled(4)]) {
      const next = [entry(byLog.state.appliedIndex + 1, command)];
      const results = [byLog, bySnapshot].map((table) => table.apply(next)[0]?.skipped);
      expect(results).toEqual([true, true]);
    }
  });
});
