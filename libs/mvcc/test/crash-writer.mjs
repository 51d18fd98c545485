// Applies the crash log to a table in RocksDB as fast as it can until it is killed. Prints the applied
// index after each batch. Runs the built library, so the test that starts it builds that first.
import { openRocksEngine, TableStateMachine } from '../dist/index.js';
import { crashLog } from '../dist/testing/crash-log.js';

const [directory] = process.argv.slice(2);
const engine = await openRocksEngine({ directory, memtableBudgetBytes: 2 * 1024 * 1024 });
const table = new TableStateMachine({ engine, tableId: 5 });
let syncing = Promise.resolve();

for (let round = 0; ; round += 1) {
  const from = table.state.appliedIndex + 1;
  table.apply(crashLog(from, from + (round % 60)));
  if (round % 40 === 39) syncing = engine.sync();
  if (round % 25 === 24) table.compact(Math.max(1, table.state.revision - 500));
  process.stdout.write(`${table.state.appliedIndex}\n`);
  if (round % 10 === 0) await syncing;
}
