/** `flotilla cluster nodes` and `placements`: what lies where. */
import type { NodeDescription, PlacementDescription } from '@flotilla/client';
import type { Command } from 'commander';
import { withContext } from './command-context.js';

const NODE_HEAD = [
  'ID',
  'NAME',
  'STATE',
  'ALIVE',
  'PEER ADDRESS',
  'CLIENT ADDRESS',
  'REPLICAS',
  'LEADS',
  'CATALOG',
];
const PLACEMENT_HEAD = ['ID', 'TABLE', 'REPLICAS', 'LEADER', 'PREFERRED', 'MOVING FROM'];

export function addClusterViews(cluster: Command): void {
  cluster
    .command('nodes')
    .description('list the nodes with their state and what they hold')
    .action((_flags: unknown, command: Command) =>
      withContext(command, async ({ client, printer }) => {
        const { clusterName, clusterId, nodes } = await client.cluster.listNodes();
        if (printer.format === 'json') {
          const described = nodes.map(nodeJson);
          await printer.json({
            cluster_name: clusterName,
            cluster_id: clusterId,
            nodes: described,
          });
        } else await printer.table(NODE_HEAD, nodes.map(nodeRow));
      }),
    );
  cluster
    .command('placements')
    .description('list the tables with the nodes that hold and lead them')
    .action((_flags: unknown, command: Command) =>
      withContext(command, async ({ client, printer, globals }) => {
        const placements = await client.cluster.listPlacements(globals.table ?? '');
        if (printer.format === 'json') {
          await printer.json({ placements: placements.map(placementJson) });
        } else await printer.table(PLACEMENT_HEAD, placements.map(placementRow));
      }),
    );
}

function nodeRow(node: NodeDescription): string[] {
  const { id, name, state, alive, raftAddress, clientUrl, replicas, preferredLeaders } = node;
  const role = node.catalogLeader ? 'leader' : node.catalogRole;
  return [
    String(id),
    name,
    state,
    alive ? 'yes' : 'no',
    raftAddress,
    clientUrl,
    String(replicas),
    String(preferredLeaders),
    role,
  ];
}

function nodeJson(node: NodeDescription): object {
  return {
    id: node.id,
    name: node.name,
    state: node.state,
    alive: node.alive,
    raft_address: node.raftAddress,
    client_url: node.clientUrl,
    replicas: node.replicas,
    preferred_leaders: node.preferredLeaders,
    catalog_role: node.catalogRole,
    catalog_leader: node.catalogLeader,
  };
}

function placementRow(placement: PlacementDescription): string[] {
  const { id, table, replicas, leader, preferredLeader, movingFrom } = placement;
  const moving = movingFrom.join(', ') || '-';
  return [
    String(id),
    table,
    replicas.join(', '),
    leader === 0 ? '?' : String(leader),
    String(preferredLeader),
    moving,
  ];
}

function placementJson(placement: PlacementDescription): object {
  return {
    id: placement.id,
    table: placement.table,
    replicas: placement.replicas,
    moving_from: placement.movingFrom,
    preferred_leader: placement.preferredLeader,
    leader: placement.leader,
  };
}
