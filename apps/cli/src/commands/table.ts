/** `flotilla table`: creates, deletes and lists tables. */
import type { Command } from 'commander';
import { withContext } from './command-context.js';

export function addTable(program: Command): void {
  const table = program.command('table').description('create, delete and list tables');
  table
    .command('create')
    .description('create a table; it can be written when this returns')
    .argument('<name>')
    .action((name: string, _flags: unknown, command: Command) =>
      withContext(command, async ({ client, printer }) => {
        const id = await client.createTable(name);
        if (printer.format === 'json') await printer.json({ name, id });
        else await printer.out.line(`Table ${name} created with id ${id}`);
      }),
    );
  table
    .command('delete')
    .description('delete a table and all its data')
    .argument('<name>')
    .action((name: string, _flags: unknown, command: Command) =>
      withContext(command, async ({ client, printer }) => {
        await client.deleteTable(name);
        if (printer.format === 'json') await printer.json({ name });
        else await printer.out.line(`Table ${name} deleted`);
      }),
    );
  table
    .command('list')
    .description('list the tables')
    .action((_flags: unknown, command: Command) =>
      withContext(command, async ({ client, printer }) => {
        const tables = await client.listTables();
        if (printer.format === 'json') await printer.json({ tables });
        else if (printer.format === 'table') {
          await printer.table(
            ['NAME', 'ID'],
            tables.map(({ name, id }) => [name, id]),
          );
        } else for (const { name } of tables) await printer.out.line(name);
      }),
    );
}
