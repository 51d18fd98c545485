/**
 * `flotilla export`: a table, or a range of it, as of one moment, in a form that import reads.
 */
import { createWriteStream, mkdirSync } from 'node:fs';
import { finished } from 'node:stream/promises';
import { Option, type Command } from 'commander';
import type { KeyValue } from '@flotilla/client';
import { keyRange } from '../bytes.js';
import { whyNoPath, writeFileBelow } from '../formats/directory.js';
import { formatJsonLine } from '../formats/jsonl.js';
import { formatTsvLine } from '../formats/tsv.js';
import { Progress, summarize } from '../import/progress.js';
import { Writer } from '../output/writer.js';
import { requireTable } from '../settings.js';
import { EXIT_FAILED, UsageError } from '../usage-error.js';
import { withContext, type CommandContext } from './command-context.js';

const FORMATS = ['jsonl', 'tsv', 'dir'] as const;
type Format = (typeof FORMATS)[number];

interface ExportFlags {
  readonly format?: Format;
  readonly prefix?: string;
  readonly fromKey?: string;
  readonly consistency: 'l' | 's';
}

/** Where rows go; returns why a row cannot go there. */
interface Destination {
  write(pair: KeyValue): Promise<string | undefined>;
  close(): Promise<void>;
}

/** A whole table takes longer than a call. */
const STREAM_MS = 24 * 3_600_000;

export function addExport(program: Command): void {
  program
    .command('export')
    .description('write a table, as of one moment, to a file, standard output or a directory')
    .argument('[target]', 'file or directory; "-" for standard output', '-')
    .addOption(new Option('--format <format>', 'jsonl unless the target says').choices(FORMATS))
    .option('--prefix <text>', 'only keys that begin with this')
    .option('--from-key <text>', 'only keys from this one on')
    .addOption(
      new Option('--consistency <level>', 'l: linearizable, s: serializable (local)')
        .choices(['l', 's'])
        .default('s'),
    )
    .action((target: string, flags: ExportFlags, command: Command) =>
      withContext(command, (context) => exportRows(context, target, flags)),
    );
}

async function exportRows(
  { client, printer, globals }: CommandContext,
  target: string,
  flags: ExportFlags,
): Promise<void> {
  const request = {
    table: requireTable(globals),
    ...exportedRange(flags),
    linearizable: flags.consistency === 'l',
  };
  const destination = openDestination(target, flags.format ?? guessFormat(target));
  const progress = new Progress(undefined, 'exported');
  const startedMs = performance.now();
  let keys = 0;
  let bytes = 0;
  let refused = 0;
  for await (const { kvs } of client.iterateRange(request, { timeoutMs: STREAM_MS })) {
    for (const pair of kvs) {
      const reason = await destination.write(pair);
      if (reason !== undefined) {
        refused++;
        process.stderr.write(`refused ${JSON.stringify(pair.key.toString())}: ${reason}\n`);
        continue;
      }
      keys++;
      bytes += pair.key.length + pair.value.length;
    }
    progress.update(keys, bytes);
  }
  await destination.close();
  progress.stop();
  const summary = summarize(keys, bytes, performance.now() - startedMs);
  if (printer.format === 'json' && target !== '-') await printer.json({ keys, bytes, refused });
  else process.stderr.write(`exported ${summary}\n`);
  if (refused > 0) process.exitCode = EXIT_FAILED;
}

function exportedRange(flags: ExportFlags) {
  if (flags.prefix !== undefined && flags.fromKey !== undefined) {
    throw new UsageError('--prefix and --from-key cannot be set at the same time');
  }
  if (flags.fromKey !== undefined) return keyRange(flags.fromKey, undefined, { fromKey: true });
  return keyRange(flags.prefix ?? '', undefined, { prefix: true });
}

function guessFormat(target: string): Format {
  if (target.endsWith('/')) return 'dir';
  return /\.(tsv|tab)$/i.test(target) ? 'tsv' : 'jsonl';
}

function openDestination(target: string, format: Format): Destination {
  if (format === 'dir') {
    if (target === '-') throw new UsageError('--format dir needs a directory');
    mkdirSync(target, { recursive: true });
    return {
      write: async ({ key, value }) => {
        const reason = whyNoPath(key);
        if (reason === undefined) await writeFileBelow(target, key, value);
        return reason;
      },
      close: async () => undefined,
    };
  }
  const stream = target === '-' ? process.stdout : createWriteStream(target);
  const out = new Writer(stream);
  const encode = format === 'tsv' ? formatTsvLine : formatJsonLine;
  return {
    write: async (pair) => {
      await out.write(encode(pair));
      return undefined;
    },
    close: async () => {
      if (stream === process.stdout) return;
      stream.end();
      await finished(stream);
    },
  };
}
