import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeCluster } from '../../test/fake-cluster.js';
import { createProgram } from '../program.js';

const ORDERS = { table: 'orders', revision: 40n, leaderRevision: 52n, lagMs: 1_250n, problem: '' };
const PARTS = { table: 'parts', revision: 7n, problem: 'it is being filled' };

describe('flotilla cluster promote', () => {
  let cluster: FakeCluster;
  let printed = '';
  beforeEach(async () => {
    cluster = await FakeCluster.start();
    cluster.promotion = {
      generation: 3n,
      followedClusterId: 'l-1',
      tables: [ORDERS, PARTS] as never,
    };
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

  async function run(...args: string[]): Promise<string> {
    printed = '';
    const before = new Set(process.stdout.listeners('error'));
    try {
      const line = ['--endpoints', cluster.url, 'cluster', 'promote', ...args];
      await createProgram().parseAsync(line, { from: 'user' });
    } finally {
      for (const each of process.stdout.listeners('error')) {
        if (!before.has(each)) process.stdout.off('error', each as (error: Error) => void);
      }
    }
    return printed;
  }

  it('changes nothing without --yes, and says what is missing and what would be lost', async () => {
    const text = await run();
    expect(cluster.changes).toEqual([]);
    const cells = text
      .split('\n')
      .filter((line) => line.startsWith('│'))
      .map((line) =>
        line
          .split('│')
          .slice(1, -1)
          .map((cell) => cell.trim())
          .join(),
      );
    expect(cells).toEqual([
      'TABLE,REVISION,LEADER,MISSING,BEHIND FOR,PROBLEM',
      'orders,40,52,12,1.3 s,-',
      'parts,7,?,?,-,it is being filled',
    ]);
    expect(text).toContain('It follows leader cluster l-1; 2 copies, of which 2 lack something');
    expect(text).toContain('--yes makes it a leader cluster of generation 3');
  });

  it('as JSON has the same fields for every table, and says that it was a dry run', async () => {
    expect(JSON.parse(await run('-w', 'json'))).toEqual({
      ...{ dry_run: true, promoted: false, generation: 3, followed_cluster_id: 'l-1' },
      tables: [
        {
          ...{ table: 'orders', revision: 40, leader_revision: 52, missing: 12 },
          ...{ lag_ms: 1_250, problem: '' },
        },
        {
          ...{ table: 'parts', revision: 7, leader_revision: null, missing: null },
          ...{ lag_ms: null, problem: 'it is being filled' },
        },
      ],
    });
  });

  it('with --yes does it, and returns once no table is a copy any more', async () => {
    cluster.replication = { tables: [{ table: 'orders', isCopy: true }] as never };
    cluster.onLook = (looks) => {
      if (looks === 3) cluster.replication = { tables: [{ table: 'orders' }] as never };
    };
    const text = await run('--yes', '--accept-incomplete');
    expect(cluster.changes).toEqual([['Promote', { dryRun: false, acceptIncomplete: true }]]);
    expect(text).toContain('The cluster is a leader cluster of generation 3');
  });

  it('says what is left where not all copies are taken over in time', async () => {
    cluster.replication = { tables: [{ table: 'orders', isCopy: true }] as never };
    await expect(run('--yes', '--wait-timeout', '300ms')).rejects.toThrow(
      'copies that are not taken over yet: 1',
    );
  });
});
