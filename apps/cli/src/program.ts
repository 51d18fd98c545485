/** All commands of `flotilla`, with their flags. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addBackup } from './commands/backup.js';
import { addCluster } from './commands/cluster.js';
import { addDel } from './commands/del.js';
import { addExport } from './commands/export.js';
import { addGet } from './commands/get.js';
import { addImport } from './commands/import.js';
import { addPut } from './commands/put.js';
import { addReplication } from './commands/replication.js';
import { addTable } from './commands/table.js';
import { addTxn } from './commands/txn.js';
import { addGlobalOptions } from './settings.js';
import { EXIT_USAGE } from './usage-error.js';

interface Manifest {
  readonly version: string;
}

const manifest = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as Manifest;

export const VERSION: string = manifest.version;

export function createProgram(): Command {
  const program = new Command('flotilla')
    .description('Reads and writes tables of a Flotilla cluster, and looks after it.')
    .showSuggestionAfterError()
    .exitOverride((error) => {
      // Help and version end well; everything else that commander refuses is wrong usage.
      process.exit(error.exitCode === 0 ? 0 : EXIT_USAGE);
    });
  addGlobalOptions(program);
  addGet(program);
  addPut(program);
  addDel(program);
  addTxn(program);
  addTable(program);
  addCluster(program);
  addReplication(program);
  addBackup(program);
  addImport(program);
  addExport(program);
  program
    .command('version')
    .description('print the version of this program')
    .action(() => {
      process.stdout.write(`flotilla ${VERSION}\n`);
    });
  return program;
}
