/**
 * Backups in a bucket, asked for with the command line tool: made, listed, shown, verified, restored and
 * pruned, by a real maintenance app at a server that checks every signature.
 */
import { FlotillaClient } from '@flotilla/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cli, type CliResult } from '../harness/cli.js';
import { MaintenanceProcess } from '../harness/maintenance-process.js';
import { NodeProcess } from '../harness/node-process.js';
import { StoreProcess } from '../harness/store-process.js';
import { tableHash } from '../harness/table-hash.js';

const TABLE = 'orders';
const ROWS = 500;
/** More than a part of an upload, so that chunks of it go up in parts. */
const LARGE_VALUE_BYTES = 2 * 1024 * 1024;
const LARGE_ROWS = 6;
const RETENTION = ['hourly', 'daily', 'weekly'].map((each) => `--retention.keep-${each}=0`);

let node: NodeProcess;
let store: StoreProcess;
let app: MaintenanceProcess;
let client: FlotillaClient;

beforeAll(async () => {
  node = await NodeProcess.start();
  store = await StoreProcess.start();
  const flags = ['--retention.keep-last=1', ...RETENTION];
  const nodes = [node.apiAddress];
  app = await MaintenanceProcess.start(nodes, store.url, flags, {
    environment: store.environment,
  });
  client = new FlotillaClient({ endpoints: nodes, timeoutMs: 60_000 });
  await client.createTable(TABLE);
  for (let at = 0; at < ROWS; at++) {
    await client.put({ table: TABLE, key: `key ${at}`, value: `value ${at} `.repeat(at % 50) });
  }
  for (let at = 0; at < LARGE_ROWS; at++) {
    const value = Buffer.alloc(LARGE_VALUE_BYTES);
    for (let word = 0; word < value.length; word += 4) {
      value.writeUInt32LE(Math.imul(word + at, 2_654_435_761) >>> 0, word);
    }
    await client.put({ table: TABLE, key: `large ${at}`, value });
  }
});

afterAll(async () => {
  client?.close();
  await app?.kill();
  await store?.dispose();
  await node?.dispose();
});

function run(...args: string[]): Promise<CliResult> {
  return new Cli(node.apiAddress).run(['backup', ...args, '--maintenance', app.address]);
}

async function told<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await run(...args, '-w', 'json');
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}${stdout.toString()}`);
  return JSON.parse(stdout.toString()) as T;
}

interface Told {
  readonly id: string;
  readonly tables: readonly { readonly revision: number }[];
}

describe('a bucket of a server that speaks S3', () => {
  let full: Told;
  let increment: Told;

  it('takes a full backup and one that adds to it, which are listed, shown and good', async () => {
    full = await told<Told>('create');
    await client.put({ table: TABLE, key: 'key 1', value: 'changed' });
    await client.deleteRange({ table: TABLE, key: 'key 2' });
    increment = await told<Told>('create', '--incremental');
    const { backups } = await told<{ backups: readonly Told[] }>('list');
    expect(backups.map(({ id }) => id)).toEqual([full.id, increment.id]);
    const shown = await told<{ chain: readonly string[] }>('show');
    expect(shown).toMatchObject({ id: increment.id, chain: [full.id, increment.id] });
    await expect(told('verify')).resolves.toMatchObject({ id: increment.id, problem_count: 0 });
    const ids = new Set(store.objectNames().map((name) => name.split('/')[1]));
    expect([...ids]).toEqual([full.id, increment.id]);
    expect(store.unfinishedUploads()).toBe(0);
  });

  it('gives each of them back as it was, revisions and versions included', async () => {
    for (const [{ id, tables }, as] of [
      [full, 'before'],
      [increment, 'after'],
    ] as const) {
      await told('restore', '--id', id, '--as', as, TABLE);
      const due = await tableHash(node.apiAddress, TABLE, tables[0]?.revision);
      const { hash, rows } = await tableHash(node.apiAddress, as);
      expect({ hash, rows }).toEqual({ hash: due.hash, rows: due.rows });
    }
    await client.deleteRange({ table: TABLE, key: '\0', rangeEnd: '\0' });
    await told('restore', '--in-place', TABLE);
    const after = await tableHash(node.apiAddress, 'after');
    expect((await tableHash(node.apiAddress, TABLE)).hash).toBe(after.hash);
  });

  it('is pruned to the newest backup, once nothing adds to the others', async () => {
    const last = await told<Told>('create');
    const { code, stdout } = await run('prune');
    expect(code).toBe(0);
    expect(stdout.toString()).toContain(`${full.id} deleted: past all rules`);
    expect(stdout.toString()).toContain(`${last.id} kept: among the newest`);
    expect(store.objectNames().every((name) => name.split('/')[1] === last.id)).toBe(true);
    await expect(told('verify', last.id)).resolves.toMatchObject({ problem_count: 0 });
  });

  it('that cannot be reached is told as such, and serves again after it was killed', async () => {
    await store.kill();
    const { code, stderr } = await run('list', '--command-timeout', '120s');
    expect(code).toBe(1);
    expect(stderr).toContain('UNAVAILABLE');
    await store.start();
    await expect(told('verify')).resolves.toMatchObject({ problem_count: 0 });
  });
});
