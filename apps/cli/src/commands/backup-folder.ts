/** `flotilla backup to-folder|from-folder`: backups as Regatta's tool has them, in a folder of files. */
import type { Command } from 'commander';
import { withBackups } from '../backups/backup-context.js';
import { restoreRegattaFolder, writeRegattaFolder } from '../backups/regatta-folder.js';
import { withContext } from './command-context.js';

export function addFolderCommands(backup: Command): void {
  backup
    .command('to-folder')
    .description("write tables to a folder in the format of Regatta's backup")
    .argument('<folder>')
    .argument('[tables...]', 'all of them if none is named')
    .action((folder: string, tables: string[], _flags: unknown, command: Command) =>
      withBackups(command, async ({ backups, printer }) => {
        const names = tables.length > 0 ? tables : await allTables(command);
        const manifest = await writeRegattaFolder(backups, names, folder, said('written'));
        if (printer.format === 'json') await printer.json(manifest);
        else await printer.out.line(`${manifest.tables.length} tables written to ${folder}`);
      }),
    );
  backup
    .command('from-folder')
    .description("restore all tables of a folder that Regatta's backup, or to-folder, has written")
    .argument('<folder>')
    .action((folder: string, _flags: unknown, command: Command) =>
      withBackups(command, async ({ backups, printer }) => {
        const tables = await restoreRegattaFolder(backups, folder, said('restored'));
        if (printer.format === 'json') await printer.json({ tables });
        else await printer.out.line(`${tables.length} tables restored from ${folder}`);
      }),
    );
}

async function allTables(command: Command): Promise<readonly string[]> {
  return withContext(command, async ({ client }) => {
    return (await client.listTables()).map(({ name }) => name);
  });
}

function said(verb: string): (table: string, bytes: number) => void {
  return (table, bytes) => process.stderr.write(`${verb} ${table}: ${bytes} bytes\n`);
}
