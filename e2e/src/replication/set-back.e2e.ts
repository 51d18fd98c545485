/**
 * A leader cluster whose data folder is put back to an older copy, as an operator might do it, and which is
 * written to again until its log is longer than that of its follower cluster. All of them are real processes.
 *
 *   state --copied aside--> more, followed --put back--> something else, longer --> the copies must be equal
 *
 * Once the entry that the copy stands at is still in the log, so that its check tells; once the log was cut past
 * it, so that the digest of what changed does.
 */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { FlotillaClient } from '@flotilla/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitUntil } from '../harness/cluster.js';
import { GatewayProcess } from '../harness/gateway-process.js';
import { NodeProcess, temporaryFolder } from '../harness/node-process.js';
import { PollingFollower } from '../harness/polling-follower.js';

const CALL_MS = 30_000;
const RECOVERY_MS = 120_000;
const LOG_CUT_MS = 120_000;
const LOG_FLAGS = [
  '--raft.snapshot-entries=1000',
  '--raft.compaction-overhead=50',
  '--replication.log-retention-bytes=0',
];
/** The lock of a folder is a socket, made anew at each start. */
const TREE = { recursive: true, filter: (path: string) => !path.endsWith('.sock') } as const;

const older = temporaryFolder('older');
let leaderNode: NodeProcess;
let followerNode: NodeProcess;
let leaderGateway: GatewayProcess;
let gateway: GatewayProcess;
let leader: FlotillaClient;
let follower: FlotillaClient;

beforeAll(async () => {
  leaderNode = await NodeProcess.start({ flags: LOG_FLAGS });
  leaderGateway = await GatewayProcess.start([leaderNode.apiAddress]);
  followerNode = await NodeProcess.start({
    role: 'follower',
    flags: [`--replication.leader-address=${leaderGateway.address}`],
  });
  const options = { timeoutMs: CALL_MS };
  leader = new FlotillaClient({ endpoints: [leaderNode.apiAddress], ...options });
  follower = new FlotillaClient({ endpoints: [followerNode.apiAddress], ...options });
  gateway = await GatewayProcess.startFollower([followerNode.apiAddress], leaderGateway.address);
});

afterAll(async () => {
  leader.close();
  follower.close();
  for (const one of [gateway, leaderGateway]) await one.kill();
  await followerNode.dispose();
  await leaderNode.dispose();
  rmSync(older, { recursive: true, force: true });
});

async function whileDown(task: () => void): Promise<void> {
  await leaderNode.kill();
  task();
  await leaderNode.start();
}

const copyAside = (name: string) =>
  whileDown(() => cpSync(leaderNode.dataDir, join(older, name), TREE));

const putBack = (name: string) =>
  whileDown(() => {
    rmSync(leaderNode.dataDir, { recursive: true, force: true });
    cpSync(join(older, name), leaderNode.dataDir, TREE);
  });

async function write(table: string, keys: readonly string[], value: string): Promise<void> {
  for (const key of keys) await leader.put({ table, key, value });
}

const keys = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, nth) => `${prefix} ${String(nth).padStart(4, '0')}`);

/** Rows with their revisions and versions, as one text each. */
async function contentOf(client: FlotillaClient, table: string): Promise<string[]> {
  const rows: string[] = [];
  for (let key: Buffer | string = '\0'; ;) {
    const page = await client.range({ table, key, rangeEnd: '\0', limit: 500, linearizable: true });
    for (const kv of page.kvs) {
      const at = `${kv.createRevision}/${kv.modRevision}`;
      rows.push(`${kv.key.toString()}=${kv.value.toString()}@${at}`);
    }
    const last = page.kvs.at(-1);
    if (!page.more || !last) return rows;
    key = Buffer.concat([last.key, Buffer.from([0])]);
  }
}

async function leaderIndex(table: string): Promise<number> {
  const { tables } = await leader.status();
  return Number(tables[table]?.raftAppliedIndex ?? 0n);
}

async function scraped(restAddress: string, line: string): Promise<number> {
  const text = await (await fetch(`${restAddress}/metrics`)).text();
  const found = text.split('\n').find((each) => each.startsWith(`${line} `));
  return Number(found?.slice(line.length + 1) ?? 0);
}

const copyIndex = (table: string) =>
  scraped(followerNode.restAddress, `regatta_replication_index{role="follower",table="${table}"}`);

const divergences = (table: string) =>
  scraped(gateway.restAddress, `flotilla_puller_errors_total{table="${table}",kind="diverged"}`);

async function expectSame(table: string): Promise<void> {
  const index = await leaderIndex(table);
  const there = await contentOf(leader, table);
  const isSame = async () => {
    if ((await copyIndex(table)) < index) return false;
    const here = await contentOf(follower, table);
    return here.length === there.length && here.every((row, at) => row === there[at]);
  };
  await waitUntil(`${table} is the same up to ${index}`, isSame, RECOVERY_MS);
}

/** What is lost by it was followed; returns the index that the copy has then. */
async function followThenPutBack(table: string): Promise<number> {
  await leader.createTable(table);
  await write(table, keys('common', 60), 'of both');
  await expectSame(table);
  await copyAside(table);
  await write(table, keys('lost', 40), 'of the history that is lost');
  await write(table, keys('common', 20), 'changed in the history that is lost');
  await expectSame(table);
  return copyIndex(table);
}

/** Nothing of the log up to this index is left. */
async function waitUntilCut(table: string, index: number): Promise<void> {
  const probe = new PollingFollower(leaderGateway.address, table);
  const isCut = async () => (await probe.poll(index + 1).catch(() => 'gap')) === 'use-snapshot';
  await waitUntil('the log was cut', isCut, LOG_CUT_MS).finally(() => probe.close());
}

describe('a leader cluster set back to an older state whose log has grown past the copy', () => {
  it('is noticed while the entry of the copy is in the log, and the copies are equal afterwards', async () => {
    const index = await followThenPutBack('in-log');
    await putBack('in-log');
    await write('in-log', keys('other', 150), 'of the history that is followed');
    expect(await leaderIndex('in-log')).toBeGreaterThan(index);
    await expectSame('in-log');
    expect(await divergences('in-log')).toBe(1);
    expect(gateway.output).toContain('of another history than the leader cluster');
    await write('in-log', keys('other', 10), 'changed');
    await expectSame('in-log');
    expect(await divergences('in-log')).toBe(1);
  });

  it('is noticed where the log was cut past it, and the copies are equal afterwards', async () => {
    const index = await followThenPutBack('cut');
    await gateway.kill();
    await putBack('cut');
    for (let nth = 0; nth < 1_300; nth++) {
      await leader.put({ table: 'cut', key: `other ${nth % 10}`, value: `${nth}` });
    }
    await waitUntilCut('cut', index);
    await gateway.start();
    await expectSame('cut');
    expect(await divergences('cut')).toBe(1);
    expect(gateway.output).toContain('what changed does not make the copy');
    await expectSame('in-log');
  });
});
