/**
 * The leader cluster is lost for good, and a follower cluster takes its place: what its operator is told,
 * what clients can do then, what a restart keeps, and that the old leader cluster is heard no more.
 */
import { FlotillaClient } from '@flotilla/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cli } from '../harness/cli.js';
import { waitUntil } from '../harness/cluster.js';
import { GatewayProcess } from '../harness/gateway-process.js';
import { NodeProcess } from '../harness/node-process.js';

const TIMEOUT_MS = 30_000;
const WAIT_MS = 90_000;

interface Report {
  readonly dry_run: boolean;
  readonly promoted: boolean;
  readonly generation: number;
  readonly tables: readonly {
    readonly table: string;
    readonly revision: number;
    readonly leader_revision: number | null;
    readonly missing: number | null;
    readonly problem: string;
  }[];
}

let leaderNode: NodeProcess;
let leaderGateway: GatewayProcess;
let followerNode: NodeProcess;
let followerGateway: GatewayProcess;
let leader: FlotillaClient;
let follower: FlotillaClient;
/** Another follower cluster of the same leader cluster. */
let secondNode: NodeProcess;
let second: FlotillaClient;
/** Revision of the last write that the leader cluster has acknowledged. */
let lastRevision = 0;

beforeAll(async () => {
  leaderNode = await NodeProcess.start();
  leaderGateway = await GatewayProcess.start([leaderNode.apiAddress]);
  followerNode = await NodeProcess.start({
    role: 'follower',
    flags: [`--replication.leader-address=${leaderGateway.address}`],
  });
  const nodes = [followerNode.apiAddress];
  followerGateway = await GatewayProcess.startFollower(nodes, leaderGateway.address);
  const options = { timeoutMs: TIMEOUT_MS };
  leader = new FlotillaClient({ endpoints: [leaderNode.apiAddress], ...options });
  follower = new FlotillaClient({ endpoints: [followerNode.apiAddress], ...options });
  secondNode = await NodeProcess.start({
    role: 'follower',
    flags: [`--replication.leader-address=${leaderGateway.address}`],
  });
  second = new FlotillaClient({ endpoints: [secondNode.apiAddress], ...options });
  await leader.createTable('orders');
  for (let nth = 0; nth < 50; nth++) {
    const { header } = await leader.put({ table: 'orders', key: `key ${nth}`, value: `${nth}` });
    lastRevision = header.revision;
  }
  const isThere = async () => (await copy())?.revision === lastRevision;
  await waitUntil('the copy is there', isThere, WAIT_MS);
  const { address } = leaderGateway;
  const secondGateway = await GatewayProcess.startFollower([secondNode.apiAddress], address);
  const isThereToo = async () =>
    (await second.replication.status()).tables[0]?.revision === lastRevision;
  await waitUntil('the second copy is there', isThereToo, WAIT_MS);
  await secondGateway.stop();
});

afterAll(async () => {
  leader.close();
  follower.close();
  second.close();
  for (const gateway of [followerGateway, leaderGateway]) await gateway.kill();
  await secondNode.dispose();
  await followerNode.dispose();
  await leaderNode.dispose();
});

async function copy() {
  const { tables } = await follower.replication.status();
  return tables.find(({ table, isCopy }) => table === 'orders' && isCopy);
}

async function promote(...flags: string[]): Promise<Report> {
  const cli = new Cli(followerNode.apiAddress);
  return JSON.parse(await cli.ok(['cluster', 'promote', '-w', 'json', ...flags])) as Report;
}

async function value(client: FlotillaClient, key: string): Promise<string | undefined> {
  return (await client.range({ table: 'orders', key })).kvs[0]?.value.toString();
}

describe('a follower cluster whose leader cluster is lost', () => {
  it('is told how far each copy is, and stays what it is without --yes', async () => {
    const isHeard = async () => (await copy())?.leaderRevision === lastRevision;
    await waitUntil('the last write was heard of', isHeard, WAIT_MS);
    await leaderNode.kill();
    await leaderGateway.kill();
    const report = await promote();
    expect(report).toMatchObject({ dry_run: true, promoted: false, generation: 2 });
    expect(report.tables).toMatchObject([
      {
        ...{ table: 'orders', revision: lastRevision, leader_revision: lastRevision },
        ...{ missing: 0, problem: '' },
      },
    ]);
    expect(await follower.replication.status()).toMatchObject({ role: 'follower' });
    const put = follower.put({ table: 'orders', key: 'k', value: 'v' }, { timeoutMs: 2_000 });
    await expect(put).rejects.toThrow();
  });

  it('takes writes itself once it is promoted, at higher revisions, and new tables', async () => {
    expect(await promote('--yes')).toMatchObject({ dry_run: false, promoted: true, generation: 2 });
    const revisions: number[] = [];
    for (let nth = 0; nth < 5; nth++) {
      const { header } = await follower.put({ table: 'orders', key: 'own', value: `own ${nth}` });
      revisions.push(header.revision);
    }
    expect(revisions[0]).toBeGreaterThan(lastRevision);
    expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
    expect(await value(follower, 'own')).toBe('own 4');
    expect(await value(follower, 'key 49')).toBe('49');
    await follower.createTable('later');
    await follower.put({ table: 'later', key: 'k', value: 'v' });
    const status = await follower.replication.status();
    expect(status).toMatchObject({ role: 'leader', generation: 2 });
    expect(status.tables.map(({ table, isCopy }) => [table, isCopy])).toEqual([
      ['later', false],
      ['orders', false],
    ]);
    expect((await follower.status(true)).config).toMatchObject({ role: 'leader' });
  });

  it('is what it became after a restart, also when it is started as a leader cluster', async () => {
    const before = (await follower.put({ table: 'orders', key: 'own', value: 'kept' })).header;
    await followerNode.kill();
    await followerNode.start();
    expect(await value(follower, 'own')).toBe('kept');
    const after = (await follower.put({ table: 'orders', key: 'own', value: 'again' })).header;
    expect(after.revision).toBeGreaterThan(before.revision);
    await followerNode.stop();
    const { dataDir, apiAddress, raftAddress } = followerNode;
    const asLeader = await NodeProcess.start({ dataDir, apiAddress, raftAddress });
    const last = (await follower.put({ table: 'orders', key: 'own', value: 'third' })).header;
    expect(last.revision).toBeGreaterThan(after.revision);
    expect(await follower.replication.status()).toMatchObject({ role: 'leader', generation: 2 });
    await asLeader.stop();
    await followerNode.start();
  });

  it('hears nothing of the old leader cluster when that comes back', async () => {
    await leaderNode.start();
    await leaderGateway.start();
    const { header } = await leader.put({ table: 'orders', key: 'own', value: 'of before' });
    expect(header.revision).toBeGreaterThan(lastRevision);
    await leader.createTable('stale');
    await followerGateway.stop();
    await followerGateway.start();
    // As long as a table that is new takes to come, several times over.
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    expect(await value(follower, 'own')).toBe('third');
    const tables = await follower.listTables();
    expect(tables.map(({ name }) => name)).toEqual(['later', 'orders']);
    const metrics = await (await fetch(`${followerGateway.restAddress}/metrics`)).text();
    expect(metrics).toMatch(/^flotilla_replication_copies 0$/m);
    expect(metrics).not.toMatch(/^regatta_replication_leased\{/m);
  });
});

describe('another follower cluster of the old one, which follows the promoted one', () => {
  let promotedGateway: GatewayProcess;
  let secondGateway: GatewayProcess;

  beforeAll(async () => {
    promotedGateway = await GatewayProcess.start([followerNode.apiAddress]);
    const { address } = promotedGateway;
    secondGateway = await GatewayProcess.startFollower([secondNode.apiAddress], address);
  });
  afterAll(async () => {
    for (const gateway of [secondGateway, promotedGateway]) await gateway.kill();
  });

  const hasValue = (key: string, wanted: string) => async () => {
    const { tables } = await second.replication.status();
    return tables.some(({ table }) => table === 'orders') && (await value(second, key)) === wanted;
  };

  it('has its tables anew, its generation, and what is written there now', async () => {
    await waitUntil('the old writes are there', hasValue('key 49', '49'), WAIT_MS);
    await waitUntil('the own writes are there', hasValue('own', 'third'), WAIT_MS);
    const { header } = await follower.put({ table: 'orders', key: 'new', value: 'promoted' });
    await waitUntil('a new one is there', hasValue('new', 'promoted'), WAIT_MS);
    const status = await second.replication.status('orders');
    expect(status).toMatchObject({ role: 'follower', generation: 2 });
    expect(status.tables[0]?.revision).toBeGreaterThanOrEqual(header.revision);
  });

  it('refuses the old leader cluster, whichever gateway is sent there', async () => {
    await secondGateway.stop();
    await leader.put({ table: 'orders', key: 'new', value: 'of the old one' });
    const { address } = leaderGateway;
    const astray = await GatewayProcess.startFollower([secondNode.apiAddress], address);
    await waitUntil('it is refused', () => /generation/.test(astray.output), WAIT_MS);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect(await value(second, 'new')).toBe('promoted');
    expect((await second.listTables()).map(({ name }) => name)).toEqual(['later', 'orders']);
    await astray.kill();
    await secondGateway.start();
    await follower.put({ table: 'orders', key: 'new', value: 'again' });
    await waitUntil('it goes on', hasValue('new', 'again'), WAIT_MS);
  });
});
