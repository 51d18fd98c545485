/**
 * Backups of a real node by a real maintenance app, asked for with the command line tool: what comes
 * back is what was there at the revision of the backup.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FlotillaClient, type KeyValue } from '@flotilla/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cli } from '../harness/cli.js';
import { MaintenanceProcess } from '../harness/maintenance-process.js';
import { NodeProcess, temporaryFolder } from '../harness/node-process.js';

const KEYS = 3_000;
const TOKEN = 'maintenance-secret';
const TABLE = 'orders';

interface BackupJson {
  readonly id: string;
  readonly kind: string;
  readonly parent?: string;
  readonly tables: readonly { readonly name: string; readonly revision: number; rows: number }[];
}

let node: NodeProcess;
let app: MaintenanceProcess;
let client: FlotillaClient;
let cli: Cli;
const folder = temporaryFolder('backups');

beforeAll(async () => {
  node = await NodeProcess.start();
  const flags = [`--maintenance.token=${TOKEN}`, '--backup.chunk-bytes=65536'];
  app = await MaintenanceProcess.start([node.apiAddress], folder, flags);
  client = new FlotillaClient({ endpoints: [node.apiAddress], timeoutMs: 30_000 });
  cli = new Cli(node.apiAddress);
  await client.createTable(TABLE);
  await fill(0);
});

afterAll(async () => {
  client?.close();
  await app?.kill();
  await node?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** Writes all keys again; the values tell the round. */
async function fill(round: number, table = TABLE): Promise<void> {
  for (let at = 0; at < KEYS; at += 100) {
    await Promise.all(
      Array.from({ length: 100 }, (_, step) => {
        const key = `key ${String(at + step).padStart(6, '0')}`;
        return client.put({
          table,
          key,
          value: `${round} ${key} ${'x'.repeat((at + step) % 400)}`,
        });
      }),
    );
  }
}

async function rows(table: string): Promise<KeyValue[]> {
  const all: KeyValue[] = [];
  const everything = {
    table,
    key: Buffer.from([0]),
    rangeEnd: Buffer.from([0]),
    linearizable: true,
  };
  for await (const { kvs } of client.iterateRange(everything, { timeoutMs: 60_000 }))
    all.push(...kvs);
  return all;
}

const pairs = (kvs: readonly KeyValue[]) =>
  kvs.map(({ key, value, createRevision, modRevision }) => [
    key.toString(),
    value.toString(),
    createRevision,
    modRevision,
  ]);

async function backup<T>(...args: string[]): Promise<T> {
  const flags = ['--maintenance', app.address, '--token', TOKEN, '-w', 'json'];
  const { code, stdout, stderr } = await cli.run(['backup', ...args, ...flags]);
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}${stdout.toString()}`);
  return JSON.parse(stdout.toString()) as T;
}

describe('a backup of a real node', () => {
  it('is refused to whoever does not know the token, in the words of Regatta', async () => {
    const wrong = await cli.run(['backup', 'list', '--maintenance', app.address, '--token', 'x']);
    expect(wrong).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Invalid token') as string,
    });
    const none = await cli.run(['backup', 'list', '--maintenance', app.address]);
    expect(none.stderr).toContain('Request unauthenticated with bearer');
  });

  it('made under writes and restored to a new name is the table at its revision, key by key', async () => {
    let isWriting = true;
    const written: Promise<void> = (async () => {
      for (let round = 1; isWriting; round++) await fill(round);
    })();
    const made = await backup<BackupJson>('create');
    isWriting = false;
    await written;
    const revision = made.tables[0]?.revision ?? 0;
    expect(made).toMatchObject({ kind: 'full', tables: [{ name: TABLE, rows: KEYS }] });
    await expect(backup('verify', made.id)).resolves.toMatchObject({ problem_count: 0 });
    await backup('restore', '--as', 'copy', TABLE);
    const copy = await rows('copy');
    expect(copy).toHaveLength(KEYS);
    expect(Math.max(...copy.map(({ modRevision }) => modRevision))).toBeLessThanOrEqual(revision);
    // What was not written since must be the same to the byte; what was is newer than the backup.
    const now = new Map((await rows(TABLE)).map((kv) => [kv.key.toString(), kv]));
    for (const kv of copy) {
      const present = now.get(kv.key.toString());
      if (present && present.modRevision <= revision) expect(pairs([kv])).toEqual(pairs([present]));
      else expect(present?.modRevision).toBeGreaterThan(revision);
    }
    const { revision: after } = await client
      .put({ table: 'copy', key: 'after', value: 'x' })
      .then(({ header }) => header);
    expect(after).toBeGreaterThan(revision);
    await client.deleteTable('copy');
  });

  it('and its increments restored in place are the table as it was, deleted keys gone', async () => {
    const parent = await backup<BackupJson>('create');
    await client.put({ table: TABLE, key: 'key 000007', value: 'changed' });
    await client.deleteRange({ table: TABLE, key: 'key 000100', rangeEnd: 'key 000200' });
    await client.put({ table: TABLE, key: 'new', value: Buffer.alloc(300_000, 7) });
    const due = await rows(TABLE);
    const made = await backup<BackupJson>('create', '--incremental');
    expect(made).toMatchObject({ kind: 'incremental', parent: parent.id, tables: [{ rows: 2 }] });
    await fill(99);
    const [before] = await client.listTables();
    const plan = await backup<object>('restore', '--in-place', '--dry-run', '--id', made.id, TABLE);
    expect(plan).toMatchObject({ tables: [{ table: TABLE, as: TABLE, backups: 2 }] });
    expect(await rows(TABLE)).not.toEqual(due);
    const last = (await client.put({ table: TABLE, key: 'last', value: 'x' })).header.revision;
    await backup('restore', '--in-place', '--id', made.id, TABLE);
    expect(pairs(await rows(TABLE))).toEqual(pairs(due));
    expect(await client.listTables()).not.toContainEqual(before);
    const next = (await client.put({ table: TABLE, key: 'next', value: 'x' })).header.revision;
    expect(next).toBeGreaterThan(last);
  });

  it('with a flipped bit is found damaged, by object and chunk, and is not restored', async () => {
    const made = await backup<BackupJson>('create', TABLE);
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    const chunk = names.find((name) => name.includes(made.id) && name.endsWith('3.chunk')) ?? '';
    const content = readFileSync(join(folder, chunk));
    const spoilt = Buffer.from(content);
    spoilt.writeUInt8(spoilt.readUInt8(1_000) ^ 4, 1_000);
    writeFileSync(join(folder, chunk), spoilt);
    await expect(backup('verify', made.id)).rejects.toThrow(/3\.chunk: chunk 3 of table \d+/);
    await expect(backup('restore', '--as', 'bad', '--id', made.id, TABLE)).rejects.toThrow(
      '3.chunk',
    );
    expect((await client.listTables()).map(({ name }) => name)).not.toContain('bad');
    writeFileSync(join(folder, chunk), content);
    await expect(backup('verify', made.id)).resolves.toMatchObject({ problem_count: 0 });
  });
});
