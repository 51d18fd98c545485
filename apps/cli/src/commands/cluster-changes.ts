/**
 * `flotilla cluster add|remove|replace|drain|rebalance|transfer`: changes of a running cluster.
 *
 * A change is decided when the command returns and made in the background; `--wait` looks until it
 * is done, for as long as `--wait-timeout` allows.
 */
import type { AddedNode, FlotillaClient, NewNode, PlannedMove } from '@flotilla/client';
import type { Command } from 'commander';
import { UsageError } from '../usage-error.js';
import { addWaitFlags, waited, type Look, type WaitFlags } from './cluster-wait.js';
import { withContext, type CommandContext } from './command-context.js';

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
  addWaitFlags(cluster.command('remove'))
    .description('move everything off a node, then make it no member any more')
    .argument('<id>', 'id of the node', toId('id'))
    .action((id: number, flags: WaitFlags, command: Command) =>
      withContext(command, async (context) => {
        const { client } = context;
        await client.cluster.removeNode(id);
        const look = stillMember(client, id);
        await waited(flags, `node ${id} to be removed`, look, () => notAlive(client));
        await say(context, { id }, flags.wait ? `Node ${id} removed` : `Node ${id} is leaving`);
      }),
    );
}

function addDrain(cluster: Command): void {
  addWaitFlags(cluster.command('drain'))
    .description('move everything off a node that stays a member')
    .argument('<id>', 'id of the node', toId('id'))
    .option('--undo', 'give it its share again', false)
    .action((id: number, flags: WaitFlags & { undo: boolean }, command: Command) =>
      withContext(command, async (context) => {
        const { client } = context;
        await client.cluster.drainNode(id, flags.undo);
        const look = flags.undo ? stillUnbalanced(client) : stillHolding(client, id);
        const what = `node ${id} to ${flags.undo ? 'get its share again' : 'be drained'}`;
        await waited(flags, what, look, () => notAlive(client));
        const done = flags.wait ? 'drained' : 'is being drained';
        const undone = flags.wait ? 'has its share again' : 'gets its share again';
        await say(context, { id }, `Node ${id} ${flags.undo ? undone : done}`);
      }),
    );
}

function addRebalance(cluster: Command): void {
  addWaitFlags(cluster.command('rebalance'))
    .description('move replicas and leaders until every node has its share')
    .option('--dry-run', 'only print what would be moved', false)
    .action((flags: WaitFlags & { dryRun: boolean }, command: Command) =>
      withContext(command, async (context) => {
        const { client } = context;
        await printMoves(context, flags.dryRun, await client.cluster.rebalance(flags.dryRun));
        const wait = flags.wait && !flags.dryRun;
        const look = stillUnbalanced(client);
        await waited({ ...flags, wait }, 'balance', look, () => notAlive(client));
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

async function printMoves(
  { printer }: CommandContext,
  dryRun: boolean,
  moves: readonly PlannedMove[],
): Promise<void> {
  if (printer.format === 'json') {
    const listed = moves.map(({ table, from, to, preferredLeader }) => ({
      table,
      from,
      to,
      preferred_leader: preferredLeader,
    }));
    await printer.json({ dry_run: dryRun, moves: listed });
    return;
  }
  if (moves.length === 0) {
    await printer.out.line('Nothing to move');
    return;
  }
  const rows = moves.map(({ table, from, to, preferredLeader }) => [
    table,
    from.join(', '),
    to.join(', '),
    String(preferredLeader),
  ]);
  await printer.table(['TABLE', 'FROM', 'TO', 'LEADER'], rows);
}

function stillMember({ cluster }: FlotillaClient, id: number): Look {
  return async () => {
    const node = (await cluster.listNodes()).nodes.find((each) => each.id === id);
    if (node?.state === 'removed') return undefined;
    return node ? `it is ${node.state} with ${node.replicas} replicas` : 'nobody knows it yet';
  };
}

function stillHolding({ cluster }: FlotillaClient, id: number): Look {
  return async () => {
    const held = (await cluster.listPlacements()).filter(
      ({ replicas, movingFrom }) => replicas.includes(id) || movingFrom.includes(id),
    );
    return held.length === 0 ? undefined : `tables still on it: ${held.length}`;
  };
}

function stillUnbalanced({ cluster }: FlotillaClient): Look {
  return async () => {
    const moving = (await cluster.listPlacements()).filter((each) => each.movingFrom.length > 0);
    if (moving.length > 0) return `tables on their way: ${moving.length}`;
    const moves = await cluster.rebalance(true);
    return moves.length === 0 ? undefined : `moves still to be made: ${moves.length}`;
  };
}

/** Nodes that nothing can be moved to or from, if there are any. */
async function notAlive({ cluster }: FlotillaClient): Promise<string> {
  const { nodes } = await cluster.listNodes();
  const dead = nodes.filter(({ alive, state }) => !alive && state !== 'removed');
  return dead.length > 0 ? `; not alive: ${dead.map(({ id }) => id).join(', ')}` : '';
}

/** A node id; the error names the argument. */
function toId(argument: string): (text: string) => number {
  return (text) => {
    const id = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(id) && id > 0) return id;
    throw new UsageError(`${argument}: expected the id of a node, a number from 1, not "${text}"`);
  };
}
