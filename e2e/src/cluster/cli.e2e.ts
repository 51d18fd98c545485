import { freePort } from '@flotilla/grpc/testing';
/**
 * A cluster changed from the command line, as its operator does it.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cli } from '../harness/cli.js';
import { Cluster, waitUntil } from '../harness/cluster.js';
import { NodeProcess } from '../harness/node-process.js';

interface NodeJson {
  readonly id: number;
  readonly state: string;
  readonly alive: boolean;
  readonly replicas: number;
}

describe('flotilla cluster', () => {
  let cluster: Cluster;
  let cli: Cli;
  let added: NodeProcess | undefined;
  beforeAll(async () => {
    cluster = await Cluster.start(3);
    cli = new Cli(cluster.node(1).apiAddress);
    for (let at = 0; at < 6; at++) await cli.ok(['table', 'create', `t${at}`]);
  });
  afterAll(async () => {
    await added?.dispose();
    await cluster.dispose();
  });

  async function nodes(): Promise<NodeJson[]> {
    const text = await cli.ok(['cluster', 'nodes', '-w', 'json']);
    return (JSON.parse(text) as { nodes: NodeJson[] }).nodes;
  }

  it('shows nodes and placements', async () => {
    expect(await cli.ok(['cluster', 'nodes'])).toContain('active');
    expect(await nodes()).toMatchObject([1, 2, 3].map((id) => ({ id, alive: true, replicas: 6 })));
    const placements = await cli.ok(['cluster', 'placements', '-w', 'json']);
    expect((JSON.parse(placements) as { placements: unknown[] }).placements).toHaveLength(6);
    expect(await cli.ok(['cluster', 'placements', '--table', 't3'])).toContain('1, 2, 3');
    expect(await cli.ok(['cluster', 'members'])).toContain('2, ');
  });

  it('adds a node with the settings it prints, which gets its share', async () => {
    const address = `127.0.0.1:${await freePort()}`;
    const text = await cli.ok(['cluster', 'add', address, '--name', 'new']);
    const flags = text.split('\n').flatMap((line) => /^\s+(--raft\.\S+)$/.exec(line)?.[1] ?? []);
    expect(flags).toHaveLength(4);
    added = await NodeProcess.prepare({ raftAddress: address, flags });
    await added.start();
    await waitUntil('node 4 holds its share', async () => {
      const node = (await nodes()).find(({ id }) => id === 4);
      return node?.state === 'active' && node.replicas >= 4;
    });
    await cli.ok(['cluster', 'rebalance', '--wait']);
    expect(await cli.ok(['cluster', 'rebalance', '--dry-run'])).toContain('Nothing to move');
  });

  it('moves a leader, drains and removes a node, and says when that is done', async () => {
    const text = await cli.ok(['cluster', 'placements', '--table', 't0', '-w', 'json']);
    const { replicas } = (JSON.parse(text) as { placements: [{ replicas: number[] }] })
      .placements[0];
    for (const to of replicas) {
      const said = await cli.ok(['cluster', 'transfer', 't0', '--to', String(to)]);
      expect(said).toContain(`Node ${to} leads t0`);
    }
    expect(await cli.ok(['cluster', 'drain', '4', '--wait'])).toContain('Node 4 drained');
    expect((await nodes()).find(({ id }) => id === 4)).toMatchObject({ replicas: 0 });
    await cli.ok(['cluster', 'drain', '4', '--undo', '--wait']);
    expect(await cli.ok(['cluster', 'remove', '4', '--wait'])).toContain('Node 4 removed');
    expect((await added?.ended(20_000))?.code).toBe(1);
  });

  it('refuses what makes no sense by the argument', async () => {
    for (const [args, code, text] of [
      [['cluster', 'remove', 'x'], 2, 'id: expected the id of a node'],
      [['cluster', 'add', 'nowhere'], 1, 'raft_address must be host:port'],
      [['cluster', 'remove', '4'], 1, 'id 4 was removed already'],
      [['cluster', 'transfer', 'none', '--to', '1'], 1, 'table not found'],
      [['cluster', 'replace', '9', 'a:1'], 1, 'replaces 9'],
    ] as const) {
      const { code: exit, stderr } = await cli.run(args);
      expect(stderr, args.join(' ')).toContain(text);
      expect(exit).toBe(code);
    }
  });
});
