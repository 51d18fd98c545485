/**
 * A copy of a follower cluster is reset, through the API port of its node, while clients read it: a real node
 * and a gateway on both sides. Readers see the old copy until the new one is there, and no error.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { FlotillaClient } from '@flotilla/client';
import { createGrpcClient, status } from '@flotilla/grpc';
import { maintenanceV1 } from '@flotilla/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitUntil } from '../harness/cluster.js';
import { GatewayProcess } from '../harness/gateway-process.js';
import { NodeProcess } from '../harness/node-process.js';
import { tableHash } from '../harness/table-hash.js';

const TABLE = 'orders';
const OTHER = 'other';
const ROWS = 300;
const VALUE_BYTES = 8 * 1024;
/** A snapshot of them takes some seconds. */
const BANDWIDTH = 500_000;
const TIMEOUT_MS = 60_000;
const RENEWAL_MS = 150_000;
const TOKEN = 'let me';

let leaderNode: NodeProcess;
let followerNode: NodeProcess;
let leaderGateway: GatewayProcess;
let gateway: GatewayProcess;
let leader: FlotillaClient;
let follower: FlotillaClient;

beforeAll(async () => {
  leaderNode = await NodeProcess.start();
  leaderGateway = await GatewayProcess.start([leaderNode.apiAddress]);
  followerNode = await NodeProcess.start({
    role: 'follower',
    flags: [
      `--replication.leader-address=${leaderGateway.address}`,
      `--maintenance.token=${TOKEN}`,
    ],
  });
  leader = new FlotillaClient({ endpoints: [leaderNode.apiAddress], timeoutMs: TIMEOUT_MS });
  follower = new FlotillaClient({ endpoints: [followerNode.apiAddress], timeoutMs: TIMEOUT_MS });
  gateway = await GatewayProcess.startFollower([followerNode.apiAddress], leaderGateway.address, [
    `--replication.max-snapshot-recv-bytes-per-second=${BANDWIDTH}`,
  ]);
});

afterAll(async () => {
  leader.close();
  follower.close();
  for (const one of [gateway, leaderGateway]) await one.kill();
  await followerNode.dispose();
  await leaderNode.dispose();
});

async function reset(table: string, token = TOKEN): Promise<void> {
  const client = createGrpcClient(followerNode.apiAddress);
  const { ResetRequest } = maintenanceV1;
  const request = ResetRequest.encode({ table: Buffer.from(table), resetAll: false }).finish();
  const metadata = { authorization: `Bearer ${token}` };
  try {
    const options = { deadlineMs: TIMEOUT_MS, metadata };
    await client.unary('/maintenance.v1.Maintenance/Reset', request, options);
  } finally {
    client.close();
  }
}

const keyOf = (nth: number): string => `key ${String(nth).padStart(4, '0')}`;

async function idOf(table: string): Promise<string> {
  return (await follower.listTables()).find(({ name }) => name === table)?.id ?? '';
}

async function isSame(table: string): Promise<boolean> {
  const there = await tableHash(leaderNode.apiAddress, table);
  const here = await tableHash(followerNode.apiAddress, table);
  return here.hash === there.hash && here.rows > 0;
}

/** Reads again and again; what a client is not to see is a finding. */
class Reader {
  readonly findings: string[] = [];
  reads = 0;
  private isStopped = false;
  private readonly running = this.run();

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.isStopped) {
      try {
        const everything = { table: TABLE, key: '\0', rangeEnd: '\0', countOnly: true };
        const { count } = await follower.range(everything);
        if (count !== ROWS) this.findings.push(`${count} pairs`);
      } catch (error) {
        this.findings.push(String(error));
      }
      this.reads += 1;
      await sleep(5);
    }
  }
}

describe('a copy that is reset', () => {
  it('is made anew, and served as it was until then, without an error for readers', async () => {
    for (const table of [TABLE, OTHER]) await leader.createTable(table);
    for (let nth = 0; nth < ROWS; nth++) {
      const value = Buffer.alloc(VALUE_BYTES, `${nth} `);
      await leader.put({ table: TABLE, key: keyOf(nth), value });
    }
    await leader.put({ table: OTHER, key: 'k', value: 'v' });
    const areThere = async () => (await follower.listTables()).length === 2;
    await waitUntil('the tables are there', areThere, TIMEOUT_MS);
    for (const table of [TABLE, OTHER]) {
      await waitUntil(`${table} is copied`, () => isSame(table), TIMEOUT_MS);
    }
    const [before, other] = [await idOf(TABLE), await idOf(OTHER)];

    await expect(reset(TABLE, 'wrong')).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
    await expect(reset('none')).rejects.toMatchObject({ message: 'table not found' });
    const reader = new Reader();
    await reset(TABLE);
    expect(await idOf(TABLE)).toBe(before);
    const isAnother = async () => (await idOf(TABLE)) !== before;
    await waitUntil('the new copy has the name', isAnother, RENEWAL_MS);
    await sleep(500);
    await reader.stop();
    expect(reader.findings).toEqual([]);
    expect(reader.reads).toBeGreaterThan(20);
    const renewed = await idOf(TABLE);
    expect(renewed).not.toBe('');

    await leader.put({ table: TABLE, key: 'later', value: '1' });
    await waitUntil('it is pulled on', () => isSame(TABLE), TIMEOUT_MS);
    await sleep(3_000);
    // Once is enough, and nobody asked for the other one.
    expect([await idOf(TABLE), await idOf(OTHER)]).toEqual([renewed, other]);
  });
});
