/**
 * `flotilla get`: one key, or a range streamed page by page with bounded memory.
 */
import { Option, type Command } from 'commander';
import type { RangeAnswer, RangeRequest } from '@flotilla/client';
import { keyRange } from '../bytes.js';
import { headerJson, keyValueJson, PAIR_HEAD } from '../output/printer.js';
import { requireTable } from '../settings.js';
import { UsageError } from '../usage-error.js';
import { withContext, type CommandContext } from './command-context.js';

interface GetFlags {
  readonly prefix: boolean;
  readonly fromKey: boolean;
  readonly limit: number;
  readonly keysOnly: boolean;
  readonly countOnly: boolean;
  readonly printValueOnly: boolean;
  readonly consistency: 'l' | 's';
  readonly rev?: number;
}

/** A number that counts: a whole one, not negative. */
export function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 0 || text.trim() === '') {
    throw new UsageError(`expected a whole number from 0, got "${text}"`);
  }
  return count;
}

export function addGet(program: Command): void {
  program
    .command('get')
    .description('print a key, or the keys of a range')
    .argument('<key>')
    .argument('[range-end]', 'first key that is not wanted any more')
    .option('--prefix', 'all keys that begin with the key', false)
    .option('--from-key', 'all keys from the key on', false)
    .option('--limit <n>', 'at most this many keys, 0 for all', parseCount, 0)
    .option('--keys-only', 'no values', false)
    .option('--count-only', 'only how many keys there are', false)
    .option('--print-value-only', 'only values', false)
    .addOption(
      new Option('--consistency <level>', 'l: linearizable, s: serializable (local)')
        .choices(['l', 's'])
        .default('s'),
    )
    .option('--rev <n>', 'read at a revision (the API has no such reads)', parseCount)
    .action((key: string, rangeEnd: string | undefined, flags: GetFlags, command: Command) =>
      withContext(command, (context) => get(context, key, rangeEnd, flags)),
    );
}

async function get(
  context: CommandContext,
  key: string,
  rangeEnd: string | undefined,
  flags: GetFlags,
): Promise<void> {
  if (flags.rev) throw new UsageError('--rev: regatta.v1 has no reads at a revision');
  if (flags.keysOnly && flags.countOnly) {
    throw new UsageError('--keys-only and --count-only cannot be set at the same time');
  }
  if (flags.keysOnly && flags.printValueOnly) {
    throw new UsageError('--keys-only and --print-value-only cannot be set at the same time');
  }
  const request: RangeRequest = {
    table: requireTable(context.globals),
    ...keyRange(key, rangeEnd, flags),
    limit: flags.limit,
    linearizable: flags.consistency === 'l',
    keysOnly: flags.keysOnly,
    countOnly: flags.countOnly,
  };
  if (flags.countOnly) await printCount(context, await context.client.range(request));
  else await printPairs(context, pages(context, request), flags);
}

/** A single key is one call; a range is a stream of one point in time. */
async function* pages(
  { client, globals }: CommandContext,
  request: RangeRequest,
): AsyncIterable<RangeAnswer> {
  if (request.rangeEnd === undefined) yield await client.range(request);
  else
    yield* client.iterateRange(request, { timeoutMs: Math.max(globals.commandTimeout, STREAM_MS) });
}

/** A whole table takes longer than a call; the flag can only make this longer. */
const STREAM_MS = 3_600_000;

async function printCount({ printer }: CommandContext, answer: RangeAnswer): Promise<void> {
  if (printer.format === 'json') {
    await printer.json({ header: headerJson(answer.header), count: answer.count });
  } else if (printer.format === 'table') {
    await printer.table(['COUNT'], [[String(answer.count)]]);
  } else {
    await printer.out.line(String(answer.count));
  }
}

async function printPairs(
  { printer }: CommandContext,
  answers: AsyncIterable<RangeAnswer>,
  flags: GetFlags,
): Promise<void> {
  const part = flags.keysOnly ? 'key' : flags.printValueOnly ? 'value' : 'both';
  const rows: string[][] = [];
  let count = 0;
  for await (const { header, kvs } of answers) {
    if (printer.format === 'json' && count === 0) {
      const head = JSON.stringify({ header: headerJson(header), kvs: [] }).slice(0, -2);
      await printer.out.write(head);
    }
    for (const pair of kvs) {
      if (printer.format === 'json') {
        const text = JSON.stringify(keyValueJson(pair, flags.keysOnly));
        await printer.out.write(count === 0 ? text : `,${text}`);
      } else if (printer.format === 'table') rows.push(printer.pairRow(pair));
      else await printer.pair(pair, part);
      count++;
    }
  }
  if (printer.format === 'json') await printer.out.line(`],"count":${count}}`);
  if (printer.format === 'table') await printer.table(PAIR_HEAD, rows);
}
