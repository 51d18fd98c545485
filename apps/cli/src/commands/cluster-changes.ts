/**
 * `flotilla cluster add|remove|replace|drain|rebalance|transfer`: changes of a running cluster.
 *
 * A change is decided when the command returns and made in the background; `--wait` looks until it
 * is done, for as long as `--wait-timeout` allows.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AddedNode, FlotillaClient, NewNode } from '@flotilla/client';
import type { Command } from 'commander';
import { parseDuration } from '../settings.js';
import { UsageError } from '../usage-error.js';
import { withContext, type CommandContext } from './command-context.js';

interface WaitFlags {
  readonly wait: boolean;
  readonly waitTimeout: number;
}

const LOOK_MS = 250;
const WAIT_TIMEOUT = '10m';

export function addClusterChanges(cluster: Command): void {
  addAdd(cluster);
  addReplace(cluster);
  addRemove(cluster);
  addDrain(cluster);
  addRebalance(cluster);
  addTransfer(cluster);
}

function addAdd(cluster: Command): void {
  cluster
    .command('add')
    .description('announce a node, and print the settings to start it with')
    .argument('<address>', 'where the other nodes will reach it, host:port')
    .option('--id <number>', 'its id; the next one that was never used if absent', toId('--id'))
    .option('--name <text>', 'its name')
    .option('--replaces <id>', 'node that goes once this one is active', toId('--replaces'))
    .action((address: string, flags: Omit<NewNode, 'raftAddress'>, command: Command) =>
      withContext(command, (context) => add(context, { ...flags, raftAddress: address })),
    );
}

function addReplace(cluster: Command): void {
  cluster
    .command('replace')
    .description('announce a node that takes the place of another')
    .argument('<old>', 'id of the node that goes', toId('old'))
    .argument('<address>', 'where the other nodes will reach the new one, host:port')
    .option('--id <number>', 'id of the new one', toId('--id'))
    .option('--name <text>', 'its name')
    .action(
      (old: number, address: string, flags: { id?: number; name?: string }, command: Command) =>
        withContext(command, (context) =>
          add(context, { ...flags, raftAddress: address, replaces: old }),
        ),
    );
}

function addRemove(cluster: Command): void {
  withWait(cluster.command('remove'))
    .description('move everything off a node, then make it no member any more')
    .argument('<id>', 'id of the node', toId('id'))
    .action((id: number, flags: WaitFlags, command: Command) =>
      withContext(command, async (context) => {
        await context.client.cluster.removeNode(id);
        await waited(context.client, flags, `node ${id} to be removed`, async () => {
          const { nodes } = await context.client.cluster.listNodes();
          return nodes.find((node) => node.id === id)?.state === 'removed';
        });
        await say(context, { id }, flags.wait ? `Node ${id} removed` : `Node ${id} is leaving`);
      }),
    );
}

function addDrain(cluster: Command): void {
  withWait(cluster.command('drain'))
    .description('move everything off a node that stays a member')
    .argument('<id>', 'id of the node', toId('id'))
    .option('--undo', 'give it its share again', false)
    .action((id: number, flags: WaitFlags & { undo: boolean }, command: Command) =>
      withContext(command, async (context) => {
        await context.client.cluster.drainNode(id, flags.undo);
        await waited(context.client, flags, `node ${id} to be drained`, async () => {
          if (flags.undo) return nothingMoves(context.client);
          const { nodes } = await context.client.cluster.listNodes();
          const isEmpty = nodes.find((node) => node.id === id)?.replicas === 0;
          return isEmpty && (await nothingMoves(context.client));
        });
        const done = flags.wait ? 'drained' : 'is being drained';
        await say(context, { id }, `Node ${id} ${flags.undo ? 'gets its share again' : done}`);
      }),
    );
}

function addRebalance(cluster: Command): void {
  withWait(cluster.command('rebalance'))
    .description('move replicas and leaders until every node has its share')
    .option('--dry-run', 'only print what would be moved', false)
    .action((flags: WaitFlags & { dryRun: boolean }, command: Command) =>
      withContext(command, async (context) => {
        const { client, printer } = context;
        const moves = await client.cluster.rebalance(flags.dryRun);
        await waited(
          client,
          { ...flags, wait: flags.wait && !flags.dryRun },
          'balance',
          async () => {
            return (await client.cluster.rebalance(true)).length === 0 && nothingMoves(client);
          },
        );
        if (printer.format === 'json') {
          const listed = moves.map(({ table, from, to, preferredLeader }) => ({
            table,
            from,
            to,
            preferred_leader: preferredLeader,
          }));
          await printer.json({ dry_run: flags.dryRun, moves: listed });
          return;
        }
        if (moves.length === 0) await printer.out.line('Nothing to move');
        else {
          const rows = moves.map(({ table, from, to, preferredLeader }) => [
            table,
            from.join(', '),
            to.join(', '),
            String(preferredLeader),
          ]);
          await printer.table(['TABLE', 'FROM', 'TO', 'LEADER'], rows);
        }
      }),
    );
}

function addTransfer(cluster: Command): void {
  cluster
    .command('transfer')
    .description('make another node the leader of a table')
    .argument('<table>')
    .option('--to <id>', 'the node; the preferred one if absent', toId('--to'))
    .action((table: string, flags: { to?: number }, command: Command) =>
      withContext(command, async (context) => {
        const leader = await context.client.cluster.transferLeader(table, flags.to);
        await say(context, { table, leader }, `Node ${leader} leads ${table}`);
      }),
    );
}

async function add({ client, printer }: CommandContext, node: NewNode): Promise<void> {
  const added = await client.cluster.addNode(node);
  if (printer.format === 'json') {
    const { id, initialMembers } = added;
    await printer.json({ id, initial_members: initialMembers });
    return;
  }
  await printer.out.line(`Node ${added.id} announced; start it with`);
  for (const flag of flagsFor(added, node)) await printer.out.line(`  ${flag}`);
}

function flagsFor({ id, initialMembers }: AddedNode, node: NewNode): string[] {
  return [
    `--raft.node-id=${id}`,
    `--raft.address=${node.raftAddress}`,
    `--raft.initial-members=${initialMembers}`,
    '--raft.join=true',
  ];
}

async function say({ printer }: CommandContext, json: object, text: string): Promise<void> {
  if (printer.format === 'json') await printer.json(json);
  else await printer.out.line(text);
}

function withWait(command: Command): Command {
  return command
    .option('--wait', 'return when it is done', false)
    .option(
      '--wait-timeout <duration>',
      'how long to wait',
      parseDuration,
      parseDuration(WAIT_TIMEOUT),
    );
}

async function waited(
  client: FlotillaClient,
  { wait, waitTimeout }: WaitFlags,
  what: string,
  isDone: () => Promise<boolean>,
): Promise<void> {
  if (!wait) return;
  const untilMs = performance.now() + waitTimeout;
  while (!(await isDone())) {
    if (performance.now() > untilMs) {
      const { nodes } = await client.cluster.listNodes();
      const dead = nodes.filter(({ alive, state }) => !alive && state !== 'removed');
      const hint = dead.length > 0 ? `; not alive: ${dead.map(({ id }) => id).join(', ')}` : '';
      throw new Error(`waited ${waitTimeout} ms for ${what}${hint}; it goes on in the background`);
    }
    await sleep(LOOK_MS);
  }
}

async function nothingMoves(client: FlotillaClient): Promise<boolean> {
  const placements = await client.cluster.listPlacements();
  return placements.every(({ movingFrom }) => movingFrom.length === 0);
}

/** A node id; the error names the argument. */
function toId(argument: string): (text: string) => number {
  return (text) => {
    const id = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(id) && id > 0) return id;
    throw new UsageError(`${argument}: expected the id of a node, a number from 1, not "${text}"`);
  };
}
