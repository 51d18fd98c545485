/** `flotilla put`: sets a key; the value may come from standard input. */
import type { Command } from 'commander';
import { headerJson, keyValueJson } from '../output/printer.js';
import { requireTable } from '../settings.js';
import { UsageError } from '../usage-error.js';
import { withContext } from './command-context.js';

/** More than this is refused by the server anyway. */
const STDIN_BYTES_MAX = 4 * 1024 * 1024;

interface PutFlags {
  readonly prevKv: boolean;
}

export function addPut(program: Command): void {
  program
    .command('put')
    .description('set a key')
    .argument('<key>')
    .argument('[value]', 'taken from standard input if it is missing or "-"')
    .option('--prev-kv', 'print what the key was before', false)
    .action((key: string, value: string | undefined, flags: PutFlags, command: Command) =>
      withContext(command, async ({ client, printer, globals }) => {
        if (key === '') throw new UsageError('the key must not be empty');
        const table = requireTable(globals);
        const bytes = value === undefined || value === '-' ? await readStdin() : value;
        const answer = await client.put({ table, key, value: bytes, prevKv: flags.prevKv });
        const { header, prevKv } = answer;
        if (printer.format === 'json') {
          const prev = prevKv && { prev_kv: keyValueJson(prevKv) };
          await printer.json({ header: headerJson(header), ...prev });
          return;
        }
        await printer.out.line('OK');
        if (prevKv) await printer.pair(prevKv);
      }),
    );
}

async function readStdin(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > STDIN_BYTES_MAX)
      throw new UsageError(`the value has over ${STDIN_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
