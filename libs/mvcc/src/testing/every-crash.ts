/**
 * A log over few keys, and every moment at which the power can go while it is applied.
 *
 * In: what a table is made to do on a disk that forgets what was not synced. Out: for each write of
 * it, the engine that is found if that was the last one that survived. Nothing is left to chance.
 */
import { type mvccV1 } from '@flotilla/proto';
import { type Engine } from '../engine/engine.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import { activeKeyspace } from '../table/slots.js';
import { TableStateMachine } from '../table/table-state-machine.js';
import { openStage } from '../table/table-stage.js';
import { type LogEntry } from '../table/table-types.js';
import {
  bytes,
  compare,
  del,
  entry,
  FROM_KEY,
  opDelete,
  opPut,
  opRange,
  put,
  putBatch,
  shownFully,
  txn,
} from './commands.js';
import { readRange } from './engine-compliance.js';
import { SimulatedEngine } from './simulated-engine.js';

export const TABLE_ID = 7;
export const LAST = 60;
export const KEYS = 7;
export function commandAt(index: number): mvccV1.Command | undefined {
  const [key, other] = [`k${(index * 5) % KEYS}`, `k${(index * 3) % KEYS}`];
  const value = `at ${index}`;
  switch (index % 6) {
    case 0:
      return undefined;
    case 1:
      return put(key, value);
    case 2:
      return del(key);
    case 3:
      return del('k2', 'k4');
    case 4:
      return txn({
        compare: [compare(key)],
        success: [opPut(other, value), opRange('k0', 'k9'), opDelete(key)],
        failure: [opPut(key, value), opPut(other, value)],
      });
    default:
      return putBatch([
        [key, value],
        [other, value],
        [key, `${value} again`],
      ]);
  }
}

/** Entries with these indexes. */
export function logOf(from: number, to: number): LogEntry[] {
  return Array.from({ length: to - from + 1 }, (_, at) => entry(from + at, commandAt(from + at)));
}

export const newTable = (engine: Engine): TableStateMachine =>
  new TableStateMachine({ engine, tableId: TABLE_ID });

export function tableOf(
  log: readonly LogEntry[],
  engine: Engine = openMemoryEngine(),
): TableStateMachine {
  const table = newTable(engine);
  table.apply(log);
  return table;
}

/** Every row of the slot in use, without table id and slot. */
export function rowsOf(engine: Engine): string[] {
  const keyspace = activeKeyspace(engine, TABLE_ID);
  return readRange(engine, keyspace.everything()).map((item, at) =>
    at % 2 === 0 ? keyspace.portableKey(bytes(item)).toString('latin1') : item,
  );
}

export const shownAt = (table: TableStateMachine, revision = 0): string[] =>
  table.range({ key: bytes(''), rangeEnd: FROM_KEY, revision }).kvs.map(shownFully);

export function codeAt(table: TableStateMachine, revision: number): string {
  try {
    shownAt(table, revision);
    return 'answered';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

/** Lets the power go after each write of what `run` does; `judge` sees what is found then. */
export function atEveryCrash(
  run: (engine: SimulatedEngine) => void,
  judge: (engine: SimulatedEngine, label: string) => void,
): number {
  for (let survive = 0; ; survive++) {
    const engine = new SimulatedEngine();
    run(engine);
    let states = 0;
    const left = engine.crash((below) => Math.min(survive, (states = below) - 1));
    judge(left, `${survive} of ${states - 1} writes are found`);
    if (survive === states - 1) return states;
  }
}

/** The log in calls of one to four entries. */
export function applyLog(engine: Engine): void {
  const table = newTable(engine);
  for (let from = 1, size = 1; from <= LAST; from += size, size = (size % 4) + 1) {
    table.apply(logOf(from, Math.min(LAST, from + size - 1)));
  }
}

export function installed(from: TableStateMachine, engine: Engine): TableStateMachine {
  const to = newTable(engine);
  const view = from.openSnapshot();
  const stage = openStage({ engine, tableId: TABLE_ID });
  for (let chunk = view.next(); chunk; chunk = view.next()) stage.write(chunk.data);
  view.close();
  stage.finish(bytes('note'));
  to.installStaged();
  to.removeInactive();
  return to;
}
