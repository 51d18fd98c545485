/**
 * A table that is filled with the rows of another one, in whatever batches, with whatever is sent twice,
 * too early or by whoever was there before, against that other one once its history is compacted: the same
 * rows, and the same answers from then on.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Engine } from '../engine/engine.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import { adopt, bytes, del, entry, fill, FROM_KEY, put, shownFully } from '../testing/commands.js';
import { contentOf } from '../testing/table-content.js';
import { TableStateMachine } from './table-state-machine.js';
import { type TableRow } from './table-types.js';

const TABLE_ID = 1;
const EVERYTHING = { key: bytes(''), rangeEnd: FROM_KEY };

const key = fc.constantFrom('', '\0', 'a', 'a\0', 'b', 'c', 'd', '\xff');
const put$ = fc.tuple(key, fc.string({ maxLength: 4 })).map(([k, v]) => put(k, v));
const command = fc.oneof(
  { weight: 4, arbitrary: put$ },
  { weight: 1, arbitrary: key.map((k) => del(k)) },
);
const log = fc.array(command, { minLength: 1, maxLength: 30 });

/** What is sent before the batch that is due. */
const noise = fc.constantFrom('nothing', 'again', 'too early', 'old token', 'new token', 'restart');
const sending = fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), noise), { minLength: 1 });

interface Filled {
  readonly engine: Engine;
  readonly table: TableStateMachine;
}

const WRONG: TableRow = {
  ...{ key: bytes('a'), value: bytes('wrong'), createRevision: 1, modRevision: 1 },
  ...{ version: 1, lease: 0 },
};

function filledWith(
  rows: readonly TableRow[],
  plan: readonly (readonly [number, string])[],
  revision: number,
): Filled {
  const engine = openMemoryEngine();
  let table = new TableStateMachine({ engine, tableId: TABLE_ID });
  const run = (what: Parameters<typeof entry>[1]) =>
    table.apply([entry(table.state.appliedIndex + 1, what)])[0];
  let [token, batch, at] = [2, 1, 0];
  run(fill(token, 0));
  for (let step = 0; at < rows.length; step += 1) {
    const [size, what] = plan[step % plan.length] ?? [1, 'nothing'];
    if (what === 'again' && batch > 1) run(fill(token, batch - 1, [WRONG]));
    if (what === 'too early')
      expect(run(fill(token, batch + 1, [WRONG]))?.fillRefused).toBe('order');
    if (what === 'old token') run(fill(token - 1, batch, [WRONG]));
    if (what === 'new token') run(fill((token += 1), 0));
    if (what === 'restart') table = new TableStateMachine({ engine, tableId: TABLE_ID });
    run(fill(token, batch, rows.slice(at, at + size)));
    batch += 1;
    at += size;
  }
  run(adopt(token, revision));
  run(fill(token, batch, [WRONG]));
  return { engine, table };
}

describe('a table that is filled', () => {
  it('in any batches, with anything sent twice or late, equals one whose history was compacted', () => {
    fc.assert(
      fc.property(log, log, sending, (before, after, plan) => {
        const engine = openMemoryEngine();
        const direct = new TableStateMachine({ engine, tableId: TABLE_ID });
        direct.apply(before.map((each, at) => entry(at + 1, each)));
        const { revision } = direct.state;
        direct.compact(revision);
        const { engine: otherEngine, table } = filledWith(
          direct.range(EVERYTHING).kvs,
          plan,
          revision,
        );
        expect(table.range(EVERYTHING).kvs.map(shownFully)).toEqual(
          direct.range(EVERYTHING).kvs.map(shownFully),
        );

        // The log of the one that was filled may be longer; revisions follow each other all the same.
        const { appliedIndex, revisionOffset } = table.state;
        const skew = appliedIndex + revisionOffset - revision;
        direct.apply(after.map((each, at) => entry(revision + 1 + skew + at, each)));
        table.apply(after.map((each, at) => entry(appliedIndex + 1 + at, each)));
        const [one, other] = [contentOf(engine, TABLE_ID), contentOf(otherEngine, TABLE_ID)];
        expect(other.live).toEqual(one.live);
        expect(other.changes).toEqual(one.changes);
        const { keys, liveBytes } = direct.stats();
        expect(table.stats()).toMatchObject({ keys, liveBytes, revision: direct.state.revision });
        for (let at = table.state.compactedRevision; at <= table.state.revision; at += 1) {
          const read = { ...EVERYTHING, revision: at };
          expect(table.range(read)).toEqual(direct.range(read));
        }
      }),
    );
  });
});
