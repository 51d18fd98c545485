// Applies the crash log to a table in RocksDB or LMDB as fast as it can until it is killed. Prints the applied
// index after each batch. Runs the built library, so the test that starts it builds that first.
import { openLmdbEngine, openRocksEngine, TableStateMachine } from '../dist/index.js';
import { crashLog } from '../dist/testing/crash-log.js';

const [directory, kind] = process.argv.slice(2);
const engine =
  kind === 'lmdb'
    ? await openLmdbEngine({ directory, pagesPerRecoveryPoint: 512 })
    : await openRocksEngine({ directory, memtableBudgetBytes: 2 * 1024 * 1024 });
const table = new TableStateMachine({ engine, tableId: 5 });
let syncing = Promise.resolve();

for (let round = 0; ; round += 1) {
  const from = table.state.appliedIndex + 1;
  table.apply(crashLog(from, from + (round % 60)));
  if (round % 40 === 39) {
    const index = table.state.appliedIndex;
    syncing = engine.sync().then(() => void process.stdout.write(`synced ${index}\n`));
  }
  if (round % 25 === 24) table.compact(Math.max(1, table.state.revision - 500));
  process.stdout.write(`${table.state.appliedIndex}\n`);
  if (round % 10 === 0) await syncing;
}
