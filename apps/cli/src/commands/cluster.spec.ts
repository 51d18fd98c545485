import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeCluster } from '../../test/fake-cluster.js';
import { createProgram } from '../program.js';
import { UsageError } from '../usage-error.js';

const NODE = {
  name: 'c',
  raftAddress: 'c:5012',
  clientUrl: 'http://c:8443',
  state: 'active',
  alive: true,
  replicas: 2n,
  preferredLeaders: 1n,
  catalogRole: 'voter',
  catalogLeader: false,
};
const PLACEMENT = {
  table: 't',
  id: 10_001n,
  replicas: [1n, 2n, 3n],
  movingFrom: [] as bigint[],
  preferredLeader: 2n,
  leader: 1n,
};
const MOVE = { table: 't', from: [1n, 2n], to: [2n, 3n], preferredLeader: 3n };

describe('flotilla cluster', () => {
  let cluster: FakeCluster;
  let printed = '';
  beforeEach(async () => {
    cluster = await FakeCluster.start();
    printed = '';
    vi.stubEnv('FLOTILLA_TABLE', undefined);
    vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
      printed += chunk.toString();
      return true;
    });
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
    await cluster.close();
  });

  /** Runs the command to its end; returns what it printed. */
  async function run(line: string): Promise<string> {
    printed = '';
    const before = new Set(process.stdout.listeners('error'));
    try {
      const args = ['--endpoints', cluster.url, 'cluster', ...line.split(' ')];
      await createProgram().parseAsync(args, { from: 'user' });
    } finally {
      // Each command listens to standard output once; one process runs many of them here.
      for (const each of process.stdout.listeners('error')) {
        if (!before.has(each)) process.stdout.off('error', each as (error: Error) => void);
      }
    }
    return printed;
  }

  const runJson = async (line: string): Promise<unknown> =>
    JSON.parse(await run(`${line} -w json`));

  /** The cells of a printed table, row by row. */
  const cells = (table: string): string[][] =>
    table
      .split('\n')
      .filter((line) => line.startsWith('│'))
      .map((line) =>
        line
          .split('│')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      );

  describe('looks', () => {
    beforeEach(() => {
      cluster.nodes = [
        { ...NODE, id: 1n, catalogLeader: true },
        { ...NODE, id: 12n, name: '', alive: false, catalogRole: '' },
      ];
      cluster.placements = [
        PLACEMENT,
        { ...PLACEMENT, table: 'u', id: 10_002n, movingFrom: [4n, 5n], leader: 0n },
      ];
    });

    it('nodes are a table with a row each', async () => {
      const [head, first, second] = cells(await run('nodes'));
      expect(head?.join()).toBe(
        'ID,NAME,STATE,ALIVE,PEER ADDRESS,CLIENT ADDRESS,REPLICAS,LEADS,CATALOG',
      );
      expect(first?.join()).toBe('1,c,active,yes,c:5012,http://c:8443,2,1,leader');
      expect(second?.join()).toBe('12,,active,no,c:5012,http://c:8443,2,1,');
    });

    it('nodes as JSON have plain numbers under snake_case keys', async () => {
      const json = await runJson('nodes');
      expect(json).toMatchObject({ cluster_name: 'prod', cluster_id: 'x-1' });
      expect((json as { nodes: unknown[] }).nodes[0]).toEqual({
        id: 1,
        name: 'c',
        state: 'active',
        alive: true,
        raft_address: 'c:5012',
        client_url: 'http://c:8443',
        replicas: 2,
        preferred_leaders: 1,
        catalog_role: 'voter',
        catalog_leader: true,
      });
    });

    it('placements are a table, where an unknown leader and no move are shown as such', async () => {
      const [head, first, second] = cells(await run('placements'));
      expect(head?.join()).toBe('ID,TABLE,REPLICAS,LEADER,PREFERRED,MOVING FROM');
      expect(first).toEqual(['10001', 't', '1, 2, 3', '1', '2', '-']);
      expect(second).toEqual(['10002', 'u', '1, 2, 3', '?', '2', '4, 5']);
    });

    it('placements of one table are those of that table', async () => {
      expect(await runJson('placements --table u')).toEqual({
        placements: [
          {
            id: 10_002,
            table: 'u',
            replicas: [1, 2, 3],
            moving_from: [4, 5],
            preferred_leader: 2,
            leader: 0,
          },
        ],
      });
      await expect(run('placements --table none')).rejects.toThrow('table not found');
    });
  });

  describe('changes', () => {
    const flags = (text: string) => text.split('\n').filter((line) => line.includes('--raft'));

    it('add prints the id and exactly the settings to start the node with', async () => {
      const text = await run('add d:5012');
      expect(text).toContain('Node 4 ');
      expect(flags(text)).toEqual([
        '  --raft.node-id=4',
        '  --raft.address=d:5012',
        '  --raft.initial-members=1=a:5012,2=b:5012,4=d:5012',
        '  --raft.join=true',
      ]);
      expect(cluster.changes).toEqual([
        ['AddNode', { raftAddress: 'd:5012', id: 0n, name: '', replaces: 0n }],
      ]);
    });

    it('add takes id, name and whom it replaces; JSON has id and members', async () => {
      const json = await runJson('add d:5012 --id 9 --name new --replaces 2');
      expect(json).toEqual({ id: 9, initial_members: '1=a:5012,2=b:5012,9=d:5012' });
      expect(cluster.changes).toEqual([
        ['AddNode', { raftAddress: 'd:5012', id: 9n, name: 'new', replaces: 2n }],
      ]);
    });

    it('replace is add with whom it replaces first', async () => {
      expect(flags(await run('replace 2 d:5012 --id 9 --name new'))[0]).toBe('  --raft.node-id=9');
      expect(cluster.changes).toEqual([
        ['AddNode', { raftAddress: 'd:5012', id: 9n, name: 'new', replaces: 2n }],
      ]);
    });

    it('transfer names the node that leads, the preferred one unless told', async () => {
      expect(await run('transfer t --to 2')).toBe('Node 2 leads t\n');
      expect(await runJson('transfer t')).toEqual({ table: 't', leader: 1 });
      expect(cluster.changes).toEqual([
        ['TransferLeader', { table: 't', to: 2n }],
        ['TransferLeader', { table: 't', to: 0n }],
      ]);
    });

    it('rebalance prints what moves; a dry run changes nothing', async () => {
      expect(await run('rebalance')).toBe('Nothing to move\n');
      cluster.moves = [MOVE];
      expect(cells(await run('rebalance --dry-run'))[1]).toEqual(['t', '1, 2', '2, 3', '3']);
      expect(await runJson('rebalance --dry-run --wait')).toEqual({
        dry_run: true,
        moves: [{ table: 't', from: [1, 2], to: [2, 3], preferred_leader: 3 }],
      });
      expect(cluster.changes).toEqual([['Rebalance', { dryRun: false }]]);
    });

    it('remove and drain return when it is decided', async () => {
      cluster.nodes = [{ ...NODE, id: 3n, state: 'leaving' }];
      expect(await run('remove 3')).toBe('Node 3 is leaving\n');
      expect(await runJson('remove 3')).toEqual({ id: 3 });
      expect(await run('drain 3')).toBe('Node 3 is being drained\n');
      expect(await run('drain 3 --undo')).toBe('Node 3 gets its share again\n');
      expect(cluster.changes.slice(2)).toEqual([
        ['DrainNode', { id: 3n, undo: false }],
        ['DrainNode', { id: 3n, undo: true }],
      ]);
    });

    it.each([
      ['remove x', 'id: '],
      ['remove 0', 'id: '],
      ['remove 1.5', 'id: '],
      ['remove 99999999999999999999', 'id: '],
      ['drain -- -1', 'id: '],
      ['replace x d:5012', 'old: '],
      ['replace 1 d:5012 --id x', '--id: '],
      ['add d:5012 --id x', '--id: '],
      ['add d:5012 --replaces x', '--replaces: '],
      ['transfer t --to x', '--to: '],
      ['remove 1 --wait-timeout soon', '--wait-timeout: '],
      ['nodes --command-timeout soon', '--command-timeout: '],
    ])('%s is refused before anything is sent, by the name of the argument', async (line, name) => {
      const error = await run(line).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(UsageError);
      expect((error as Error).message.startsWith(name), (error as Error).message).toBe(true);
      expect(cluster.changes).toEqual([]);
    });
  });

  describe('--wait', () => {
    /** What the cluster is at the first, second, third ... look. */
    function steps(...changes: (() => void)[]): void {
      cluster.onLook = (looks) => changes[looks - 1]?.();
    }
    const held = (replicas: bigint[], movingFrom: bigint[] = []) => {
      cluster.placements = [{ ...PLACEMENT, replicas, movingFrom }];
    };

    it('remove returns when the node is removed, not when it is only empty', async () => {
      const node = { ...NODE, id: 3n, state: 'leaving' };
      cluster.nodes = [node];
      const seen: string[] = [];
      steps(
        () => seen.push('holds'),
        () => (seen.push('empty'), (cluster.nodes = [{ ...node, replicas: 0n }])),
        () => (seen.push('removed'), (cluster.nodes = [{ ...node, state: 'removed' }])),
      );
      expect(await run('remove 3 --wait')).toBe('Node 3 removed\n');
      expect(seen).toEqual(['holds', 'empty', 'removed']);
    });

    it('drain returns when the last replica has left it, whatever moves elsewhere', async () => {
      const seen: string[] = [];
      steps(
        () => (seen.push('holds'), held([1n, 2n, 3n])),
        () => (seen.push('moving'), held([1n, 2n, 4n], [1n, 2n, 3n])),
        () => (seen.push('elsewhere'), held([1n, 2n, 5n], [1n, 2n, 4n])),
      );
      expect(await run('drain 3 --wait')).toBe('Node 3 drained\n');
      expect(seen).toEqual(['holds', 'moving', 'elsewhere']);
    });

    it.each([
      ['rebalance --wait', '│ t '],
      ['drain 3 --undo --wait', 'Node 3 has its share again\n'],
    ])('%s returns when nothing moves and nothing is left to be moved', async (line, text) => {
      cluster.moves = [MOVE];
      const seen: string[] = [];
      steps(
        () => (seen.push('moving'), held([2n, 3n], [1n, 2n])),
        () => (seen.push('not moving'), held([2n, 3n])),
        () => seen.push('more to move'),
        () => seen.push('not moving'),
        () => (seen.push('balanced'), (cluster.moves = [])),
      );
      expect(await run(line)).toContain(text);
      expect(seen).toEqual(['moving', 'not moving', 'more to move', 'not moving', 'balanced']);
    });

    it.each([
      ['remove 3', 'node 3 to be removed: it is leaving with 2 replicas; not alive: 5; it goes on'],
      ['drain 3', 'node 3 to be drained: tables still on it: 1; not alive: 5; it goes on'],
      ['rebalance', 'balance: tables on their way: 1; not alive: 5; it goes on'],
    ])('%s says when the time is up what is left and who is dead', async (line, text) => {
      cluster.nodes = [
        { ...NODE, id: 3n, state: 'leaving' },
        { ...NODE, id: 5n, alive: false },
        { ...NODE, id: 6n, alive: false, state: 'removed' },
      ];
      held([1n, 2n, 3n], [4n]);
      const startedMs = performance.now();
      const error = await run(`${line} --wait --wait-timeout 300ms`).catch((e: unknown) => e);
      expect((error as Error).message).toContain(`waited 0.3 s for ${text}`);
      expect(error).not.toBeInstanceOf(UsageError);
      expect(performance.now() - startedMs).toBeLessThan(20_000);
    });

    it('a refused change is not waited for', async () => {
      await expect(run('remove 3 --wait')).rejects.toThrow('id 3 is no member');
    });
  });
});
