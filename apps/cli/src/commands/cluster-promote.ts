/**
 * `flotilla cluster promote`: makes a follower cluster a leader cluster, for good.
 *
 *   without --yes   prints what would be so, table by table, and changes nothing
 *   with --yes      decides it, and returns once every copy is a table of the cluster's own
 *
 * Must never promote by accident: it is for people to say that the leader cluster is gone.
 */
import type { FlotillaClient, PromotedTable, Promotion } from '@flotilla/client';
import { Option, type Command } from 'commander';
import { parseDuration, toDuration } from '../settings.js';
import { waited, type Look } from './cluster-wait.js';
import { withContext, type CommandContext } from './command-context.js';

interface PromoteFlags {
  readonly yes: boolean;
  readonly acceptIncomplete: boolean;
  readonly waitTimeout: number;
}

const WAIT = '10m';
const HEAD = ['TABLE', 'REVISION', 'LEADER', 'MISSING', 'BEHIND FOR', 'PROBLEM'];

export function addPromote(cluster: Command): void {
  cluster
    .command('promote')
    .description('make a follower cluster a leader cluster; says what that means without --yes')
    .option('--yes', 'do it', false)
    .option('--accept-incomplete', 'also where copies are being filled from snapshots', false)
    .addOption(
      new Option('--wait-timeout <duration>', 'how long to wait until all copies are taken over')
        .default(parseDuration(WAIT), WAIT)
        .argParser(toDuration('--wait-timeout')),
    )
    .action((flags: PromoteFlags, command: Command) =>
      withContext(command, (context) => promote(context, flags)),
    );
}

async function promote(context: CommandContext, flags: PromoteFlags): Promise<void> {
  const { client, printer } = context;
  const { yes, acceptIncomplete } = flags;
  const report = yes
    ? await client.cluster.promote(acceptIncomplete)
    : await client.cluster.promotionReport();
  if (yes) {
    const what = 'copies to become tables of the cluster';
    await waited({ ...flags, wait: true }, what, stillCopies(client), () => Promise.resolve(''));
  }
  if (printer.format === 'json') {
    await printer.json(reportJson(report, yes));
    return;
  }
  if (report.tables.length > 0) await printer.table(HEAD, report.tables.map(row));
  for (const line of conclusion(report, yes)) await printer.out.line(line);
}

function conclusion({ generation, promoted, tables, followed }: Promotion, yes: boolean): string[] {
  if (yes) return [`The cluster is a leader cluster of generation ${generation}`];
  if (promoted) return [`The cluster was promoted already, to generation ${generation}`];
  const behind = tables.filter(({ missing }) => missing !== 0).length;
  const from = followed === '' ? 'a leader cluster' : `leader cluster ${followed}`;
  return [
    `It follows ${from}; ${tables.length} copies, of which ${behind} lack something or may do.`,
    'What is missing is lost to this cluster. Be sure that the leader cluster takes no writes any more.',
    `Nothing was changed; --yes makes it a leader cluster of generation ${generation}`,
  ];
}

function stillCopies({ replication }: FlotillaClient): Look {
  return async () => {
    const { tables } = await replication.status();
    const left = tables.filter(({ isCopy }) => isCopy).length;
    return left === 0 ? undefined : `copies that are not taken over yet: ${left}`;
  };
}

function row(table: PromotedTable): string[] {
  const { revision, leaderRevision, missing, lagMs, problem } = table;
  return [
    table.table,
    String(revision),
    leaderRevision === undefined ? '?' : String(leaderRevision),
    missing === undefined ? '?' : String(missing),
    lagMs === undefined ? '-' : `${(lagMs / 1_000).toFixed(1)} s`,
    problem || '-',
  ];
}

function reportJson({ generation, followed, promoted, tables }: Promotion, yes: boolean): object {
  return {
    dry_run: !yes,
    promoted,
    generation,
    followed_cluster_id: followed,
    tables: tables.map(({ table, revision, leaderRevision, missing, lagMs, problem }) => ({
      table,
      revision,
      leader_revision: leaderRevision ?? null,
      missing: missing ?? null,
      lag_ms: lagMs ?? null,
      problem,
    })),
  };
}
