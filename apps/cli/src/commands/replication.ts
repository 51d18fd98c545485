/**
 * `flotilla replication status`: how the copies of a follower cluster stand, one line a table.
 *
 * In: what one node knows. Out: a table, or JSON; with `--watch` again and again until Ctrl-C. That a
 * copy is behind, or cannot be pulled, is told and is no failure of the command.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReplicationState, TableReplication } from '@flotilla/client';
import { Option, type Command } from 'commander';
import { parseDuration, toDuration } from '../settings.js';
import { withContext, type CommandContext } from './command-context.js';

interface StatusFlags {
  readonly watch: boolean;
  readonly interval: number;
}

const INTERVAL = '1s';
const HEAD = [
  'TABLE',
  'STATE',
  'REVISION',
  'LEADER',
  'LAG',
  'BEHIND FOR',
  'SNAPSHOT',
  'GATEWAY',
  'LAST ERROR',
];
const MIB = 1024 * 1024;
const CLEAR = '\u001b[2J\u001b[H';

export function addReplication(program: Command): void {
  const replication = program
    .command('replication')
    .description('look at how a follower cluster follows');
  replication
    .command('status')
    .description('show how far the copies are, and what is done for them')
    .option('--watch', 'show it again and again until Ctrl-C', false)
    .addOption(
      new Option('--interval <duration>', 'between two looks of --watch')
        .default(parseDuration(INTERVAL), INTERVAL)
        .argParser(toDuration('--interval')),
    )
    .action((flags: StatusFlags, command: Command) =>
      withContext(command, (context) => (flags.watch ? watch(context, flags) : show(context))),
    );
}

/** Ends with Ctrl-C, well. */
async function watch(context: CommandContext, { interval }: StatusFlags): Promise<void> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  const isScreen = process.stdout.isTTY && context.printer.format !== 'json';
  while (!stop.signal.aborted) {
    if (isScreen) await context.printer.out.write(CLEAR);
    await show(context);
    await sleep(interval, undefined, { signal: stop.signal }).catch((error: unknown) => {
      if (!stop.signal.aborted) throw error;
    });
  }
}

async function show({ client, printer, globals }: CommandContext): Promise<void> {
  const state = await client.replication.status(globals.table ?? '');
  if (printer.format === 'json') {
    await printer.json(stateJson(state));
    return;
  }
  await printer.out.line(headLine(state));
  const tables = state.tables.filter(({ isCopy }) => isCopy || state.role === 'leader');
  if (tables.length > 0) await printer.table(HEAD, tables.map(tableRow));
}

function headLine({ clusterId, role, generation, tables, nodeId }: ReplicationState): string {
  const copies = tables.filter(({ isCopy }) => isCopy).length;
  const holds = role === 'follower' ? `copies: ${copies}` : `tables: ${tables.length}`;
  const cluster = `cluster ${clusterId || '?'}, role ${role}, generation ${generation}`;
  return `${cluster}, ${holds} (told by node ${nodeId})`;
}

function tableRow(table: TableReplication): string[] {
  const { state, gateway, revision, leaderRevision, lagRevisions, lagMs, lastError } = table;
  return [
    table.table,
    table.isCopy ? state || '?' : 'own',
    text(revision),
    text(leaderRevision),
    text(lagRevisions),
    lagMs === undefined ? '-' : `${(lagMs / 1_000).toFixed(1)} s`,
    snapshotText(table),
    gateway || '-',
    lastError || '-',
  ];
}

function snapshotText({ snapshotBytes, snapshotBytesTotal }: TableReplication): string {
  if (snapshotBytes === 0) return '-';
  const done = `${(snapshotBytes / MIB).toFixed(1)} MiB`;
  return snapshotBytesTotal === 0 ? done : `${done} of ${(snapshotBytesTotal / MIB).toFixed(1)}`;
}

function text(value: number | undefined): string {
  return value === undefined ? '-' : String(value);
}

function stateJson({ nodeId, clusterId, role, generation, tables }: ReplicationState): object {
  return {
    node_id: nodeId,
    cluster_id: clusterId,
    role,
    generation,
    tables: tables.map(tableJson),
  };
}

/** What is not known is null: every line has the same fields. */
function tableJson(table: TableReplication): object {
  return {
    table: table.table,
    id: table.id,
    is_copy: table.isCopy,
    state: table.state,
    gateway: table.gateway,
    revision: table.revision ?? null,
    leader_revision: table.leaderRevision ?? null,
    lag_revisions: table.lagRevisions ?? null,
    lag_ms: table.lagMs ?? null,
    snapshot_bytes: table.snapshotBytes,
    snapshot_bytes_total: table.snapshotBytesTotal,
    received_bytes: table.receivedBytes,
    last_error: table.lastError,
  };
}
