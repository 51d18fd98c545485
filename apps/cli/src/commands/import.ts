/**
 * `flotilla import`: JSON lines, TSV or a directory tree into a table.
 */
import { createReadStream, statSync } from 'node:fs';
import { basename } from 'node:path';
import { Option, type Command } from 'commander';
import { directoryItems, type DirectoryCounts } from '../formats/directory.js';
import type { ItemSource } from '../formats/item.js';
import { lineItems } from '../formats/line-source.js';
import { Importer, type ImportResult } from '../import/importer.js';
import { Progress, summarize } from '../import/progress.js';
import { requireTable } from '../settings.js';
import { EXIT_FAILED, UsageError } from '../usage-error.js';
import { withContext, type CommandContext } from './command-context.js';
import { parseCount } from './get.js';

const FORMATS = ['jsonl', 'tsv', 'dir'] as const;
type Format = (typeof FORMATS)[number];

interface ImportFlags {
  readonly format?: Format;
  readonly prefix: string;
  readonly concurrency: number;
  readonly batch: number;
  readonly keepGoing: boolean;
  readonly skip: number;
}

const READ_BYTES = 1024 * 1024;
const HELP = `
Formats:
  jsonl  one object a line: {"key": "text", "value": "text"}; bytes that are no text go into
         key_base64 and value_base64
  tsv    key, tab, value; \\t \\n \\r and \\\\ stand for tab, line feed, return and backslash
  dir    every plain file below a folder: path -> content

Without --keep-going the first bad row ends the import; what stands before it is stored. Every bad
row is named on standard error, and the exit code is 1 if there was one.
`;

export function addImport(program: Command): void {
  program
    .command('import')
    .description('put many rows, from a file, standard input or a directory')
    .argument('[source]', 'file or directory; "-" for standard input', '-')
    .addOption(new Option('--format <format>', 'guessed from the source').choices(FORMATS))
    .option('--prefix <text>', 'put before every key', '')
    .option('--concurrency <n>', 'requests in flight', parseCount, 8)
    .option('--batch <n>', 'rows in one request, put at one revision', parseCount, 64)
    .option('--keep-going', 'pass over bad rows', false)
    .option('--skip <n>', 'pass over this many rows at the beginning', parseCount, 0)
    .addHelpText('after', HELP)
    .action((source: string, flags: ImportFlags, command: Command) =>
      withContext(command, (context) => importRows(context, source, flags)),
    );
}

async function importRows(
  context: CommandContext,
  source: string,
  flags: ImportFlags,
): Promise<void> {
  const table = requireTable(context.globals);
  if (flags.concurrency < 1) throw new UsageError('--concurrency must be at least 1');
  if (flags.batch < 1) throw new UsageError('--batch must be at least 1');
  const format = flags.format ?? guessFormat(source);
  const counts: DirectoryCounts = { skipped: 0 };
  const progress = new Progress(totalBytes(source, format), 'imported');
  const abort = new AbortController();
  const interrupt = () => abort.abort();
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  const options = {
    table,
    keyPrefix: flags.prefix,
    concurrency: flags.concurrency,
    batchRows: flags.batch,
    keepGoing: flags.keepGoing,
    skip: flags.skip,
    timeoutMs: context.globals.commandTimeout,
    signal: abort.signal,
  };
  const importer = new Importer(context.client, options, {
    refused: ({ where, reason }) => process.stderr.write(`refused ${where}: ${reason}\n`),
    progress: (keys, bytes) => progress.update(keys, bytes),
  });
  const startedMs = performance.now();
  const items = open(source, format, counts, (bytes) => progress.addRead(bytes));
  const result = await importer.run(items);
  progress.stop();
  process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  await report(context, result, counts, performance.now() - startedMs);
}

async function report(
  { printer }: CommandContext,
  result: ImportResult,
  counts: DirectoryCounts,
  ms: number,
): Promise<void> {
  const { keys, bytes, refused, acknowledged, failure } = result;
  if (printer.format === 'json') {
    await printer.json({ ...result, skipped: counts.skipped, milliseconds: Math.round(ms) });
  } else {
    await printer.out.line(`imported ${summarize(keys, bytes, ms)}`);
    if (refused > 0) await printer.out.line(`refused ${refused} rows`);
    if (counts.skipped > 0)
      await printer.out.line(`passed over ${counts.skipped} links and others`);
  }
  if (failure !== undefined) {
    process.stderr.write(
      `import ended early: ${failure}\n` +
        `the first ${acknowledged} rows are stored; go on with --skip ${acknowledged}\n`,
    );
  }
  if (failure !== undefined || refused > 0) process.exitCode = EXIT_FAILED;
}

function guessFormat(source: string): Format {
  if (source === '-') return 'jsonl';
  const stats = statSync(source, { throwIfNoEntry: false });
  if (!stats) throw new UsageError(`${source}: there is no such file or directory`);
  if (stats.isDirectory()) return 'dir';
  return /\.(tsv|tab)$/i.test(source) ? 'tsv' : 'jsonl';
}

function totalBytes(source: string, format: Format): number | undefined {
  return source === '-' || format === 'dir' ? undefined : statSync(source).size;
}

function open(
  source: string,
  format: Format,
  counts: DirectoryCounts,
  onBytes: (bytes: number) => void,
): ItemSource {
  if (format === 'dir') {
    if (source === '-') throw new UsageError('--format dir needs a directory');
    return directoryItems(source, counts, onBytes);
  }
  const stream =
    source === '-' ? process.stdin : createReadStream(source, { highWaterMark: READ_BYTES });
  const name = source === '-' ? 'stdin' : basename(source);
  return lineItems(stream as AsyncIterable<Buffer>, format, name, onBytes);
}
