/**
 * What a table holds, whatever rows it lies in: two replicas that got the same log hold the same
 * content, while their change rows are cut where their batches ended.
 *
 * In: the engine of a table. Out: its state, its live rows, and the changes that can still be read, with
 * the versions they superseded. Rows that are at odds with each other throw.
 */
import { type Engine } from '../engine/engine.js';
import { ChangeRowReader } from '../table/change-row.js';
import { CHANGES, LIVE, placeOfChanges } from '../table/keyspace.js';
import { decodeMeta, type Meta } from '../table/meta-row.js';
import { decodeVersion, type Version } from '../table/row-codec.js';
import { activeKeyspace } from '../table/slots.js';
import { SnapshotRows } from '../table/snapshot-rows.js';

const PAGE_ROWS = 256;

export interface ContentChange {
  readonly epoch: number;
  readonly revision: number;
  readonly key: string;
  readonly isPut: boolean;
  /** The version that was superseded, in full; undefined if the key did not exist. */
  readonly superseded: string | undefined;
}

export interface TableContent {
  /** What is said of the table; undefined if nothing is. */
  readonly state: Partial<Meta> | undefined;
  readonly live: readonly string[];
  /** Of the running epoch above the compacted revision, in their order. */
  readonly changes: readonly ContentChange[];
}

export function contentOf(engine: Engine, tableId: number): TableContent {
  const keyspace = activeKeyspace(engine, tableId);
  const live: string[] = [];
  const all: ContentChange[] = [];
  const checked = new SnapshotRows();
  let meta: Meta | undefined;
  const view = engine.iterator(keyspace.everything());
  for (let done = false; !done;) {
    const page = view.read(PAGE_ROWS);
    ({ done } = page);
    for (let at = 0; at + 1 < page.items.length; at += 2) {
      const [key, value] = page.items.slice(at, at + 2);
      if (key === undefined || value === undefined) continue;
      const portable = keyspace.portableKey(key);
      checked.add(portable, value);
      if (key.equals(keyspace.metaKey)) meta = decodeMeta(value);
      else if (portable[0] === LIVE) live.push(shownVersion(decodeVersion(value)));
      else if (portable[0] === CHANGES) takeChanges(key, value, all);
    }
  }
  view.close();
  if (meta === undefined) return { state: undefined, live, changes: all };
  checked.end();
  const { epoch, compactedRevision } = meta;
  const changes = all.filter((each) => each.epoch === epoch && each.revision > compactedRevision);
  // How far compaction came is left out: it removes whole rows.
  const state: Partial<Meta> = { ...meta };
  delete state.historyRows;
  delete state.floorEpoch;
  delete state.floorRevision;
  return { state, live, changes };
}

function takeChanges(key: Buffer, value: Buffer, all: ContentChange[]): void {
  const { epoch } = placeOfChanges(key);
  const row = new ChangeRowReader(value);
  while (row.next()) {
    const { revision, isPut } = row;
    const version = row.superseded();
    const superseded = version && shownVersion(version);
    all.push({ epoch, revision, key: row.keyName(), isPut, superseded });
  }
}

function shownVersion(row: Version): string {
  const { createRevision, modRevision, version, lease, epoch } = row;
  const numbers = [createRevision, modRevision, version, lease, epoch].join('/');
  return `${row.key.toString('latin1')}=${row.value.toString('latin1')}@${numbers}`;
}
