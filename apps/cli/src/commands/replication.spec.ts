import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeCluster } from '../../test/fake-cluster.js';
import { createProgram } from '../program.js';

const COPY = {
  table: 'orders',
  tableId: 10_001n,
  isCopy: true,
  revision: 40n,
  leaderRevision: 52n,
  lagRevisions: 12n,
  lagMs: 1_250n,
  gateway: 'host-1',
  state: 'recovering',
  lastError: 'snapshot-failed',
  snapshotBytes: 3n * 1024n * 1024n,
  snapshotBytesTotal: 0n,
  receivedBytes: 4_000_000n,
};
const UNKNOWN = { table: 'parts', tableId: 10_002n, isCopy: true };
const OWN = { table: 'mine', tableId: 10_003n, isCopy: false, revision: 3n };

describe('flotilla replication status', () => {
  let cluster: FakeCluster;
  let printed = '';
  beforeEach(async () => {
    cluster = await FakeCluster.start();
    cluster.replication = {
      ...{ nodeId: 2n, clusterId: 'f-1', role: 'follower', generation: 3n },
      tables: [OWN, COPY, UNKNOWN] as never,
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
      const line = ['--endpoints', cluster.url, 'replication', 'status', ...args];
      await createProgram().parseAsync(line, { from: 'user' });
    } finally {
      for (const each of process.stdout.listeners('error')) {
        if (!before.has(each)) process.stdout.off('error', each as (error: Error) => void);
      }
    }
    return printed;
  }

  it('is a line a copy, with what is not known left open', async () => {
    const lines = (await run()).split('\n');
    expect(lines[0]).toBe('cluster f-1, role follower, generation 3, copies: 2 (told by node 2)');
    const cells = lines
      .filter((line) => line.startsWith('│'))
      .map((line) =>
        line
          .split('│')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      );
    expect(cells[0]?.join()).toBe(
      'TABLE,STATE,REVISION,LEADER,LAG,BEHIND FOR,SNAPSHOT,GATEWAY,LAST ERROR',
    );
    expect(cells[1]?.join()).toBe(
      'orders,recovering,40,52,12,1.3 s,3.0 MiB,host-1,snapshot-failed',
    );
    expect(cells[2]?.join()).toBe('parts,?,-,-,-,-,-,-,-');
    expect(cells).toHaveLength(3);
  });

  it('is an object with the same fields for every table as JSON', async () => {
    const json = JSON.parse(await run('-w', 'json')) as { tables: object[] };
    expect(json).toMatchObject({ cluster_id: 'f-1', role: 'follower', generation: 3, node_id: 2 });
    expect(json.tables[1]).toEqual({
      table: 'orders',
      id: 10_001,
      is_copy: true,
      state: 'recovering',
      gateway: 'host-1',
      revision: 40,
      leader_revision: 52,
      lag_revisions: 12,
      lag_ms: 1_250,
      snapshot_bytes: 3_145_728,
      snapshot_bytes_total: 0,
      received_bytes: 4_000_000,
      last_error: 'snapshot-failed',
    });
    expect(json.tables[2]).toMatchObject({ revision: null, lag_ms: null, state: '' });
  });

  it('is looked at again with --watch, until Ctrl-C', async () => {
    cluster.onLook = (looks) => {
      if (looks === 3) process.emit('SIGINT');
    };
    const lines = (await run('--watch', '--interval', '10ms', '-w', 'json')).trim().split('\n');
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(JSON.parse(line)).toMatchObject({ role: 'follower' });
  });
});
