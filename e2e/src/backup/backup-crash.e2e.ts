/**
 * A maintenance app that is killed in the middle of its work: nothing half done is ever listed or seen, and
 * the next run goes on with what there is.
 */
import { readdirSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { FlotillaClient } from '@flotilla/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cli, type CliResult } from '../harness/cli.js';
import { waitUntil } from '../harness/cluster.js';
import { MaintenanceProcess } from '../harness/maintenance-process.js';
import { NodeProcess, temporaryFolder } from '../harness/node-process.js';

const ROWS = 400;
const VALUE_BYTES = 100_000;
const TABLE = 't';

let node: NodeProcess;
let app: MaintenanceProcess;
let client: FlotillaClient;
const folder = temporaryFolder('crash');

beforeAll(async () => {
  node = await NodeProcess.start();
  app = await MaintenanceProcess.start([node.apiAddress], folder, ['--backup.chunk-bytes=100000']);
  client = new FlotillaClient({ endpoints: [node.apiAddress], timeoutMs: 60_000 });
  await client.createTable(TABLE);
  for (let at = 0; at < ROWS; at += 8) {
    await Promise.all(
      Array.from({ length: 8 }, (_, step) => {
        const value = Buffer.alloc(VALUE_BYTES, `${(at + step) * 7919} `);
        return client.put({ table: TABLE, key: `key ${1_000 + at + step}`, value });
      }),
    );
  }
});

afterAll(async () => {
  client?.close();
  await app?.kill();
  await node?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

function backup(...args: string[]): Promise<CliResult> {
  const flags = ['--maintenance', app.address, '-w', 'json'];
  return new Cli(node.apiAddress).run(['backup', ...args, ...flags]);
}

async function outcome<T>(result: Promise<CliResult>): Promise<T> {
  const { code, stdout, stderr } = await result;
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return JSON.parse(stdout.toString()) as T;
}

const chunks = () =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.chunk'),
  );

async function rows(table: string): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  const everything = {
    table,
    key: Buffer.from([0]),
    rangeEnd: Buffer.from([0]),
    linearizable: true,
  };
  for await (const { kvs } of client.iterateRange(everything, { timeoutMs: 60_000 })) {
    for (const { key, value } of kvs) found.set(key.toString(), value);
  }
  return found;
}

interface Listing {
  readonly backups: readonly { readonly id: string }[];
  readonly unfinished: readonly { readonly id: string }[];
}

describe('a maintenance app that is killed', () => {
  it('while it makes a backup leaves none, and the next run ends the same one', async () => {
    const broken = backup('create');
    await waitUntil('some chunks', async () => chunks().length > 80);
    await app.kill();
    expect((await broken).code).toBe(1);
    const before = chunks().length;
    expect(before).toBeLessThan(ROWS);
    await app.start();
    const listing = await outcome<Listing>(backup('list'));
    expect(listing.backups).toEqual([]);
    expect(listing.unfinished).toHaveLength(1);
    await client.put({ table: TABLE, key: 'key 1000', value: 'written since' });
    const made = await outcome<{ id: string; rows: number }>(backup('create'));
    expect(made).toMatchObject({ id: listing.unfinished[0]?.id, rows: ROWS });
    // Two attempts together: what was told of by the segments of the first is not written twice.
    expect(chunks().length).toBeLessThan(ROWS + before);
    await expect(outcome(backup('verify'))).resolves.toMatchObject({
      problem_count: 0,
      rows: ROWS,
    });
  });

  it('while it restores leaves nothing to be seen, and goes on when it is asked again', async () => {
    const broken = backup('restore', '--as', 'copy', TABLE);
    await sleep(1_500);
    await app.kill();
    await broken;
    const names = async () => (await client.listTables()).map(({ name }) => name);
    const wasDone = (await names()).includes('copy');
    await app.start();
    if (!wasDone) {
      const done = await outcome<{ tables: unknown[] }>(backup('restore', '--as', 'copy', TABLE));
      expect(done.tables).toMatchObject([{ as: 'copy', rows: ROWS }]);
    }
    const copy = await rows('copy');
    const now = await rows(TABLE);
    expect(copy.size).toBe(ROWS);
    for (const [key, value] of copy) {
      if (key !== 'key 1000') expect(now.get(key)?.equals(value)).toBe(true);
      else expect(value.length).toBe(VALUE_BYTES);
    }
  });

  it('and a node that is killed under a restore only hold it up', async () => {
    const restoring = backup('restore', '--as', 'second', TABLE);
    await sleep(1_200);
    await node.kill();
    await node.start();
    const first = await restoring;
    const done = first.code === 0 ? first : await backup('restore', '--as', 'second', TABLE);
    expect(done.stderr).toBe('');
    expect((await rows('second')).size).toBe(ROWS);
  });
});
