/**
 * Folders of Regatta's backup tool: those that were recorded restore or are refused for the right reason,
 * and those that we write are restored by us.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { FlotillaClient } from '@flotilla/client';
import { createGrpcClient } from '@flotilla/grpc';
import { freePort } from '@flotilla/grpc/testing';
import { maintenanceV1, regattaV1 } from '@flotilla/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cli } from '../harness/cli.js';
import { MaintenanceProcess } from '../harness/maintenance-process.js';
import { NodeProcess, ROOT, temporaryFolder } from '../harness/node-process.js';

const RECORDED = resolve(ROOT, '../shared/data/regatta');
const isRecorded = existsSync(join(RECORDED, 'backup/manifest.json'));
if (!isRecorded) console.warn(`NOT TESTED: there are no recorded backups in ${RECORDED}`);

const TOKEN = 'secret';

let node: NodeProcess;
let app: MaintenanceProcess;
let client: FlotillaClient;
const folder = temporaryFolder('regatta');

beforeAll(async () => {
  const port = await freePort();
  const passed = `--maintenance.address=http://127.0.0.1:${port}`;
  node = await NodeProcess.start({ flags: [passed, `--maintenance.token=${TOKEN}`] });
  const flags = [`--maintenance.token=${TOKEN}`];
  app = await MaintenanceProcess.start([node.apiAddress], join(folder, 'store'), flags, { port });
  client = new FlotillaClient({ endpoints: [node.apiAddress], timeoutMs: 30_000 });
});

afterAll(async () => {
  client?.close();
  await app?.kill();
  await node?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** Asked for where Regatta has it, at a node, which passes it on. */
async function backup(...args: string[]) {
  const flags = ['--maintenance', node.apiAddress, '--token', TOKEN];
  return new Cli(node.apiAddress).run(['backup', ...args, ...flags]);
}

async function count(table: string): Promise<number> {
  const everything = { key: Buffer.from([0]), rangeEnd: Buffer.from([0]) };
  return (await client.range({ table, ...everything, countOnly: true, linearizable: true })).count;
}

const tableNames = async () => (await client.listTables()).map(({ name }) => name);

describe.skipIf(!isRecorded)('a folder that Regatta has written', () => {
  it.each([
    ['backup-corrupted', 'regatta-test.bak: its MD5 is 897ed6ba'],
    ['backup-missing-file', 'regatta-test.bak: it cannot be read'],
  ])('%s is refused before anything is restored', async (name, reason) => {
    const { code, stderr } = await backup('from-folder', join(RECORDED, name));
    expect(code).toBe(1);
    expect(stderr).toContain(reason);
    expect(await tableNames()).toEqual([]);
  });

  it('restores its thousand rows, and its table without any', async () => {
    const { code, stderr } = await backup('from-folder', join(RECORDED, 'backup'));
    expect(stderr).toContain('restored regatta-test: 9690 bytes');
    expect(code).toBe(0);
    expect(await count('regatta-test')).toBe(1_000);
    expect(await count('applicable-device-secure-policy')).toBe(0);
  });

  it('that holds an empty file makes the table empty', async () => {
    const { code } = await backup('from-folder', join(RECORDED, 'backup-empty'));
    expect(code).toBe(0);
    expect(await count('regatta-test')).toBe(0);
  });
});

describe("what Regatta's own tool asks", () => {
  it('is answered at one address: which tables there are, and their streams', async () => {
    await client.createTable('asked');
    await client.put({ table: 'asked', key: 'a', value: 'b' });
    const direct = createGrpcClient(app.address);
    const options = { deadlineMs: 30_000, metadata: { authorization: `Bearer ${TOKEN}` } };
    const request = regattaV1.StatusRequest.encode({ config: false }).finish();
    const answer = await direct.unary('/regatta.v1.Cluster/Status', request, options);
    expect(Object.keys(regattaV1.StatusResponse.decode(answer).tables)).toContain('asked');
    const table = maintenanceV1.BackupRequest.encode({ table: Buffer.from('asked') }).finish();
    let bytes = 0;
    const stream = direct.serverStream('/maintenance.v1.Maintenance/Backup', table, options);
    for await (const chunk of stream) bytes += chunk.length;
    expect(bytes).toBeGreaterThan(20);
    direct.close();
  });
});

describe('a node that passes backups on', () => {
  it('asks for the token first', async () => {
    const flags = ['--maintenance', node.apiAddress, '--token', 'wrong'];
    const target = join(folder, 'refused');
    const refused = await new Cli(node.apiAddress).run([
      'backup',
      'to-folder',
      target,
      'x',
      ...flags,
    ]);
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stderr).toContain('Invalid token');
  });
});

describe('a folder that we write', () => {
  it('has what its manifest says, and comes back in the place of what is there', async () => {
    await client.createTable('t');
    const value = Buffer.alloc(1_900_000, 7);
    for (let at = 0; at < 5; at++) await client.put({ table: 't', key: `key ${at}`, value });
    const target = join(folder, 'written');
    const { code, stderr } = await backup('to-folder', target, 't');
    expect(stderr).toContain('written t: ');
    expect(code).toBe(0);
    expect(readdirSync(target).sort()).toEqual(['manifest.json', 't.bak']);
    await client.deleteRange({ table: 't', key: 'key 2' });
    await client.put({ table: 't', key: 'other', value: 'x' });
    const last = (await client.put({ table: 't', key: 'other', value: 'y' })).header.revision;
    expect(await backup('from-folder', target)).toMatchObject({ code: 0 });
    expect(await count('t')).toBe(5);
    const { kvs } = await client.range({ table: 't', key: 'key 2', linearizable: true });
    expect(kvs[0]?.value.equals(value)).toBe(true);
    const next = (await client.put({ table: 't', key: 'next', value: 'x' })).header.revision;
    expect(next).toBeGreaterThan(last);
  });
});
