/** `flotilla del`: deletes a key or a range and prints how many keys that were. */
import type { Command } from 'commander';
import { keyRange, type RangeFlags } from '../bytes.js';
import { headerJson, keyValueJson } from '../output/printer.js';
import { requireTable } from '../settings.js';
import { withContext } from './command-context.js';

interface DelFlags extends RangeFlags {
  readonly prevKv: boolean;
}

export function addDel(program: Command): void {
  program
    .command('del')
    .description('delete a key, or the keys of a range')
    .argument('<key>')
    .argument('[range-end]', 'first key that stays')
    .option('--prefix', 'all keys that begin with the key', false)
    .option('--from-key', 'all keys from the key on', false)
    .option('--prev-kv', 'print what was deleted', false)
    .action((key: string, rangeEnd: string | undefined, flags: DelFlags, command: Command) =>
      withContext(command, async ({ client, printer, globals }) => {
        const { header, deleted, prevKvs } = await client.deleteRange({
          table: requireTable(globals),
          ...keyRange(key, rangeEnd, flags),
          prevKv: flags.prevKv,
          count: true,
        });
        if (printer.format === 'json') {
          const prev = flags.prevKv && { prev_kvs: prevKvs.map((pair) => keyValueJson(pair)) };
          await printer.json({ header: headerJson(header), deleted, ...prev });
          return;
        }
        await printer.out.line(String(deleted));
        for (const pair of prevKvs) await printer.pair(pair);
      }),
    );
}
