/** `flotilla cluster`: who the members are, how the one that answers stands, and changes of both. */
import type { Command } from 'commander';
import { addClusterChanges } from './cluster-changes.js';
import { addPromote } from './cluster-promote.js';
import { addClusterViews } from './cluster-views.js';
import { withContext } from './command-context.js';

export function addCluster(program: Command): void {
  const cluster = program.command('cluster').description('look at the cluster and change it');
  addClusterViews(cluster);
  addClusterChanges(cluster);
  addPromote(cluster);
  cluster
    .command('members')
    .description('list the members')
    .action((_flags: unknown, command: Command) =>
      withContext(command, async ({ client, printer }) => {
        const { cluster: name, members } = await client.memberList();
        if (printer.format === 'json') {
          await printer.json({ cluster: name, members });
          return;
        }
        const rows = members.map((member) => [
          member.id,
          member.name,
          member.peerURLs.join(','),
          member.clientURLs.join(','),
        ]);
        if (printer.format === 'table') {
          await printer.table(['ID', 'NAME', 'PEER ADDRESSES', 'CLIENT ADDRESSES'], rows);
        } else for (const row of rows) await printer.out.line(row.join(', '));
      }),
    );
  cluster
    .command('status')
    .description('show version and tables of the node that answers')
    .option('--config', 'show its configuration too; secrets are masked', false)
    .action((flags: { config: boolean }, command: Command) =>
      withContext(command, async ({ client, printer }) => {
        const status = await client.status(flags.config);
        const tables = Object.entries(status.tables).sort(([a], [b]) => (a < b ? -1 : 1));
        if (printer.format === 'json') {
          await printer.json({
            id: status.id,
            version: status.version,
            tables: Object.fromEntries(
              tables.map(([name, table]) => [
                name,
                {
                  leader: table.leader,
                  raft_index: Number(table.raftIndex),
                  raft_term: Number(table.raftTerm),
                  raft_applied_index: Number(table.raftAppliedIndex),
                },
              ]),
            ),
            ...(status.config && { config: status.config }),
            errors: status.errors,
          });
          return;
        }
        await printer.out.line(`node ${status.id}, version ${status.version}`);
        const rows = tables.map(([name, table]) => [
          name,
          table.leader || '-',
          String(table.raftTerm),
          String(table.raftAppliedIndex),
        ]);
        await printer.table(['TABLE', 'LEADER', 'TERM', 'APPLIED INDEX'], rows);
        for (const [key, value] of Object.entries(status.config ?? {})) {
          await printer.out.line(`${key} = ${JSON.stringify(value)}`);
        }
        for (const error of status.errors) await printer.out.line(`error: ${error}`);
      }),
    );
}
